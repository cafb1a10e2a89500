#define MTPCORE_ISA avx512
#define MTPCORE_LANES 8
#include "kernel_impl.hpp"

namespace mtpcore {
const Kernel& avx512_kernel() {
  static const avx512::KernelImpl kernel;
  return kernel;
}
}  // namespace mtpcore
