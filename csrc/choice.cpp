#include "choice.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace torchdropout {
namespace {

#if defined(__x86_64__)
// Not all compilers know this feature by name.
bool converts_halves() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

std::string lacking_features(const std::string& name) {
  std::string found;
  const auto need = [&](bool there, const char* feature) {
    if (!there) found += (found.empty() ? "" : ", ") + std::string(feature);
  };
  __builtin_cpu_init();
  if (name == "avx2" || name == "avx512") {
    need(__builtin_cpu_supports("avx2"), "avx2");
    need(converts_halves(), "f16c");
  }
  if (name == "avx512") {
    need(__builtin_cpu_supports("bmi2"), "bmi2");
    need(__builtin_cpu_supports("fma"), "fma");
    need(__builtin_cpu_supports("avx512f"), "avx512f");
    need(__builtin_cpu_supports("avx512bw"), "avx512bw");
    need(__builtin_cpu_supports("avx512vl"), "avx512vl");
    need(__builtin_cpu_supports("avx512dq"), "avx512dq");
  }
  need(name != "neon", "neon");
  return found;
}
#else
std::string lacking_features(const std::string& name) {
#if defined(__aarch64__)
  if (name == "neon") return "";  // part of the architecture
#endif
  return name == "neon" || name == "avx2" || name == "avx512" ? name : "";
}
#endif

}  // namespace

std::string lacking(const std::string& name) {
  const Kernels* built = name == "scalar"   ? kScalarKernels
                         : name == "neon"   ? kNeonKernels
                         : name == "avx2"   ? kAvx2Kernels
                         : name == "avx512" ? kAvx512Kernels
                                            : nullptr;
  const std::string features = lacking_features(name);
  if (!features.empty()) return "the processor has no " + features;
  return built == nullptr ? "it was not built" : "";
}

std::vector<const Kernels*> usable_kernels() {
  std::vector<const Kernels*> usable;
  for (const Kernels* kernels : {kScalarKernels, kNeonKernels, kAvx2Kernels, kAvx512Kernels}) {
    if (kernels != nullptr && lacking(kernels->name).empty()) usable.push_back(kernels);
  }
  return usable;
}

}  // namespace torchdropout
