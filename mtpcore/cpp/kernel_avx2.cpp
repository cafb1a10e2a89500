#define MTPCORE_ISA avx2
#define MTPCORE_LANES 4
#include "kernel_impl.hpp"

namespace mtpcore {
const Kernel& avx2_kernel() {
  static const avx2::KernelImpl kernel;
  return kernel;
}
}  // namespace mtpcore
