// Writes the numbers that decide what is dropped, as raw 32-bit words in the machine's byte order
// and without end, for a battery of randomness tests to read:
//
//     stream STREAM [SEED [STREAM_BITS]] | testu01 crush
//
// Numbers come in the order of the mask index, from 0 on. The key is SEED and STREAM_BITS, 0 both
// where not given: the batteries then see the key with the least entropy.

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../../csrc/keep.h"

namespace {

using torchdropout::block_words;
using torchdropout::half_word;
using torchdropout::Key;
using torchdropout::kDomainHigh;
using torchdropout::kDomainLow;
using torchdropout::kPerBlock;
using torchdropout::Words;

using Numbers = std::vector<uint32_t>;

// Appends the uniforms of one block, whose low halves come from `domain_low`: one Philox call a
// domain instead of two a number.
void append_uniforms(const Key& key, uint64_t block, uint32_t domain_low, Numbers* numbers) {
  const Words high = block_words(key, kDomainHigh, block);
  const Words low = block_words(key, domain_low, block);
  for (int place = 0; place < kPerBlock; ++place) {
    numbers->push_back(half_word(high, place) << 16 | half_word(low, place));
  }
}

void uniform(const Key& key, uint64_t block, Numbers* numbers) {
  append_uniforms(key, block, kDomainLow, numbers);
}

// Two consecutive high halves a number, the first in the low bits.
void high(const Key& key, uint64_t block, Numbers* numbers) {
  const Words words = block_words(key, kDomainHigh, block);
  for (int place = 0; place < kPerBlock; place += 2) {
    numbers->push_back(half_word(words, place + 1) << 16 | half_word(words, place));
  }
}

// Broken on purpose: the counter wraps after 2^16 blocks, so the mask repeats.
void broken_period(const Key& key, uint64_t block, Numbers* numbers) {
  uniform(key, block & 0xFFFF, numbers);
}

// Broken on purpose: the low halves are drawn in the domain of the high ones, so they are equal.
void broken_domain(const Key& key, uint64_t block, Numbers* numbers) {
  append_uniforms(key, block, kDomainHigh, numbers);
}

uint32_t reversed(uint32_t number) {
  uint32_t result = 0;
  for (int bit = 0; bit < 32; ++bit) result = result << 1 | (number >> bit & 1);
  return result;
}

// `reverse`: last bit first, for tests that look at the leading bits alone.
struct Stream {
  const char* name;
  void (*append_block)(const Key&, uint64_t block, Numbers*);
  bool reverse;
};

constexpr Stream kStreams[] = {
    {"uniform", uniform, false},
    {"uniform-reversed", uniform, true},
    {"high", high, false},
    {"high-reversed", high, true},
    {"broken-period", broken_period, false},
    {"broken-domain", broken_domain, false},
};

[[noreturn]] void fail_usage(const std::string& problem) {
  std::string names;
  for (const Stream& stream : kStreams) names += std::string(" ") + stream.name;
  std::fprintf(stderr, "%s\nusage: stream STREAM [SEED [STREAM_BITS]], STREAM one of%s\n",
               problem.c_str(), names.c_str());
  std::exit(2);
}

const Stream& find_stream(const std::string& name) {
  for (const Stream& stream : kStreams) {
    if (name == stream.name) return stream;
  }
  fail_usage("Expected a stream's name, got '" + name + "'.");
}

// Decimal, hexadecimal after 0x or octal after 0; strtoull alone takes signs and blanks too.
uint64_t parse_number(const char* what, const char* text, int bits) {
  char* end = nullptr;
  errno = 0;
  const uint64_t number = std::strtoull(text, &end, 0);
  const bool starts_well = *text >= '0' && *text <= '9';
  if (!starts_well || *end != '\0' || errno != 0 || (bits < 64 && number >> bits != 0)) {
    fail_usage("Expected " + std::string(what) + " to be an integer in [0, 2^" +
               std::to_string(bits) + "), got '" + text + "'.");
  }
  return number;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) fail_usage("Expected 1 to 3 arguments.");
  const Stream& stream = find_stream(argv[1]);
  const Key key = {argc > 2 ? parse_number("SEED", argv[2], 64) : 0,
                   argc > 3 ? parse_number("STREAM_BITS", argv[3], 60) : 0};

  constexpr uint64_t kBlocksPerWrite = 4096;  // 128 KiB of uniforms
  Numbers numbers;
  for (uint64_t block = 0;; block += kBlocksPerWrite) {
    numbers.clear();
    for (uint64_t i = 0; i < kBlocksPerWrite; ++i) stream.append_block(key, block + i, &numbers);
    if (stream.reverse) {
      for (uint32_t& number : numbers) number = reversed(number);
    }
    // The reader closes the pipe when it has enough: SIGPIPE then ends this program.
    if (std::fwrite(numbers.data(), sizeof(uint32_t), numbers.size(), stdout) != numbers.size()) {
      std::perror("stream");
      return 1;
    }
  }
}
