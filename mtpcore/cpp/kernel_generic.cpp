#define MTPCORE_ISA generic
#define MTPCORE_LANES 2
#include "kernel_impl.hpp"

namespace mtpcore {
const Kernel& generic_kernel() {
  static const generic::KernelImpl kernel;
  return kernel;
}
}  // namespace mtpcore
