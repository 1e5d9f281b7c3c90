// What the headers of GCC 9 to 12 call, and a system as old as torch's own wheels allow (glibc 2.28,
// the libstdc++ of GCC 8) lacks: with these a wheel that such a compiler builds is loaded there. They
// are exported and weak, so that where glibc has the variable the loader binds to that.
#if defined(__linux__) && __has_include(<bits/c++config.h>)
#include <new>
#include <sstream>
#if _GLIBCXX_RELEASE >= 9

// glibc 2.32; std::shared_ptr asks it whether it may count without atomic operations. Elsewhere: no.
extern "C" {
__attribute__((weak, visibility("default"))) char __libc_single_threaded = 0;
}

// GCC 11; an allocator calls it that is asked for more than there can be.
namespace std {
__attribute__((weak)) void __throw_bad_array_new_length() { throw bad_array_new_length(); }
}  // namespace std

// GCC 9; torch's headers compose messages with them.
template std::basic_stringstream<char>::basic_stringstream();
template std::basic_ostringstream<char>::basic_ostringstream();

#endif
#endif
