// Runs a battery of TestU01 on raw 32-bit words from the standard input:
//
//     stream STREAM [SEED [STREAM_BITS]] | testu01 smallcrush|crush
//
// Exit code 1 if a p-value is outside [1e-9, 1 - 1e-9]: with at most 144 statistics a battery, a good
// generator has that happen with a chance below 3e-7. What is outside [0.001, 0.999] TestU01 itself lists.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
#include <testu01/bbattery.h>
#include <testu01/unif01.h>
}

namespace {

constexpr double kRejected = 1e-9;

unsigned int next_number() {
  static uint32_t numbers[1 << 15];
  static size_t used = 0, there = 0;
  if (used == there) {
    there = std::fread(numbers, sizeof numbers[0], sizeof numbers / sizeof numbers[0], stdin);
    used = 0;
    if (there == 0) {
      std::fprintf(stderr, "Expected more numbers on the standard input, got its end.\n");
      std::exit(2);
    }
  }
  return numbers[used++];
}

}  // namespace

int main(int argc, char** argv) {
  const bool small = argc == 2 && std::strcmp(argv[1], "smallcrush") == 0;
  if (!small && !(argc == 2 && std::strcmp(argv[1], "crush") == 0)) {
    std::fprintf(stderr, "usage: stream STREAM | testu01 smallcrush|crush\n");
    return 2;
  }
  char name[] = "standard input";
  unif01_Gen* const generator = unif01_CreateExternGenBits(name, next_number);
  small ? bbattery_SmallCrush(generator) : bbattery_Crush(generator);
  int rejected = 0;
  for (int i = 0; i < bbattery_NTests; ++i) {
    const double p = bbattery_pVal[i];
    if (!(p >= kRejected && p <= 1 - kRejected)) ++rejected;
  }
  std::printf("%d statistics, %d rejected\n", bbattery_NTests, rejected);
  unif01_DeleteExternGenBits(generator);
  return rejected > 0;
}
