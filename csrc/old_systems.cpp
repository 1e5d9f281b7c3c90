// Symbols that the headers of GCC 9 to 12 use and that the oldest systems supported by torch's wheels
// (glibc 2.28, the libstdc++ of GCC 8) lack: with them a wheel built by such a compiler loads there.
// They are exported and weak, so that the loader binds to glibc's variable where it exists.
#if defined(__linux__) && __has_include(<bits/c++config.h>)
#include <new>
#include <sstream>
#if _GLIBCXX_RELEASE >= 9

// glibc 2.32; std::shared_ptr reads it to see if it may count non-atomically. Without it: no.
extern "C" {
__attribute__((weak, visibility("default"))) char __libc_single_threaded = 0;
}

// GCC 11; an allocator calls it if the request is larger than any array can be.
namespace std {
__attribute__((weak)) void __throw_bad_array_new_length() { throw bad_array_new_length(); }
}  // namespace std

// GCC 9; torch's headers compose messages with them.
template std::basic_stringstream<char>::basic_stringstream();
template std::basic_ostringstream<char>::basic_ostringstream();

#endif
#endif
