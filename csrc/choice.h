// Which instruction set runs: chosen by what the processor supports, or by name.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace torchdropout {

// The kernels that are built and that this processor can run, the fastest last.
std::vector<const Kernels*> usable_kernels();

// What the processor (or the build) lacks for the kernels of that name; empty if nothing.
std::string lacking(const std::string& name);

}  // namespace torchdropout
