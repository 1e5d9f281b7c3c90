// Included before torch's headers. From 2.15 on they call dlsym, which glibc 2.34 moved from libdl to
// libc under a new version. Requested under its first version it is found on both, and a wheel that a
// newer glibc built is loaded on an older one.
#pragma once

#if defined(__linux__) && __has_include(<features.h>)
#include <features.h>
#if defined(__GLIBC__) && defined(__x86_64__)
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");
#elif defined(__GLIBC__) && defined(__aarch64__)
__asm__(".symver dlsym, dlsym@GLIBC_2.17");
#endif
#endif
