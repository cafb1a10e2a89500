// What kernels are written in: the same text is compiled by NVRTC for a GPU and by a C++ compiler for a processor.
//
// A kernel is a sequence of phases. In a phase every thread of a block does its part; then all wait for one another.
// Nothing but shared and global memory outlives a phase, so that a processor can run the threads of a block one after
// another, in any order, and a barrier cannot be forgotten.
#pragma once

#ifdef MTP_EMULATED

#include <cmath>
#include <cstring>
#define DEVICE static inline
#define DEVICE_MEMBER
#define CONSTANT constexpr
#define TABLE static const
#define UNROLL
static int emulated_grid = 0, emulated_threads = 0, emulated_block = 0, emulated_order = 0;
static double* emulated_shared = nullptr;
static inline int block_index() { return emulated_block; }
static inline double* shared_memory() { return emulated_shared; }
template <class F>
static inline void phase(F work) {
  for (int t = 0; t < emulated_threads; ++t) work(emulated_order ? emulated_threads - 1 - t : t);
}
static inline void add_integer(long long* sum, long long x) { *sum += x; }
static inline void raise_to(int* largest, int x) { *largest = x > *largest ? x : *largest; }
static inline void lower_to(unsigned long long* least, double x) {
  unsigned long long bits;
  std::memcpy(&bits, &x, sizeof bits);
  *least = bits < *least ? bits : *least;
}
static inline void set_bits(unsigned* word, unsigned bits) { *word |= bits; }
static inline int bit_count(unsigned x) { return __builtin_popcount(x); }
static inline long long to_integer(double x) { return std::llrint(x); }
static inline unsigned high_product(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<unsigned long long>(a) * b) >> 32);
}
using std::cos;
using std::exp;
using std::fabs;
using std::floor;
using std::log;
using std::pow;
using std::sqrt;
// Blocks run one after another as well, forwards or backwards.
#define KERNEL(name, threads, parameters, arguments)                                     \
  static void name##_block parameters;                                                   \
  extern "C" void name parameters {                                                      \
    for (int b = 0; b < emulated_grid; ++b) {                                            \
      emulated_block = emulated_order ? emulated_grid - 1 - b : b;                       \
      name##_block arguments;                                                            \
    }                                                                                    \
  }                                                                                      \
  static void name##_block parameters
extern "C" void emulate(int grid, int threads, int order, double* shared) {
  emulated_grid = grid;
  emulated_threads = threads;
  emulated_order = order;
  emulated_shared = shared;
}

#else

#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__
#define CONSTANT __device__ constexpr
#define TABLE static __device__ const
#define UNROLL _Pragma("unroll")
DEVICE int block_index() { return static_cast<int>(blockIdx.x); }
DEVICE double* shared_memory() {
  extern __shared__ double memory[];
  return memory;
}
template <class F>
DEVICE void phase(F work) {
  work(static_cast<int>(threadIdx.x));
  __syncthreads();
}
DEVICE void add_integer(long long* sum, long long x) {
  atomicAdd(reinterpret_cast<unsigned long long*>(sum), static_cast<unsigned long long>(x));
}
DEVICE void raise_to(int* largest, int x) { atomicMax(largest, x); }
// Of numbers that are not negative, whose bits are in the same order.
DEVICE void lower_to(unsigned long long* least, double x) {
  atomicMin(least, static_cast<unsigned long long>(__double_as_longlong(x)));
}
DEVICE void set_bits(unsigned* word, unsigned bits) { atomicOr(word, bits); }
DEVICE int bit_count(unsigned x) { return __popc(x); }
DEVICE long long to_integer(double x) { return __double2ll_rn(x); }
DEVICE unsigned high_product(unsigned a, unsigned b) { return __umulhi(a, b); }
#define KERNEL(name, threads, parameters, arguments) extern "C" __global__ void __launch_bounds__(threads) name parameters

#endif

// Forces are sums of whole multiples of 1 / kForceUnit eV/angstrom: integers add up to the same in any order.
constexpr double kForceUnit = 8796093022208.0;  // 2^43
constexpr double kLargestForce = 8192.0;        // eV/angstrom of a pair; what is above it has flown apart

// A neighbour's entry: 24 bits for the atom, 8 for the image of the cell it is in, -2 to 2 along each vector.
constexpr int kImages = 5, kAtomBits = 24;
struct Image {
  int a, b, c;
};
DEVICE int image_code(int a, int b, int c) { return ((a + 2) * kImages + b + 2) * kImages + c + 2; }
DEVICE Image image_of(unsigned entry) {
  const int code = static_cast<int>(entry >> kAtomBits);
  return {code / (kImages * kImages) - 2, code / kImages % kImages - 2, code % kImages - 2};
}
DEVICE int atom_of(unsigned entry) { return static_cast<int>(entry & ((1u << kAtomBits) - 1u)); }

// r_j - r_i for an entry of atom i's list; places hold x, y, z and the species.
struct Separation {
  double x, y, z;
};
DEVICE Separation separation(const double* places, const double* cell, int i, unsigned entry) {
  const double* from = places + 4 * static_cast<long long>(i);
  const double* to = places + 4 * static_cast<long long>(atom_of(entry));
  const Image m = image_of(entry);
  return {to[0] - from[0] + (m.a * cell[0] + m.b * cell[3] + m.c * cell[6]),
          to[1] - from[1] + (m.a * cell[1] + m.b * cell[4] + m.c * cell[7]),
          to[2] - from[2] + (m.a * cell[2] + m.b * cell[5] + m.c * cell[8])};
}
DEVICE double square(const Separation& r) { return r.x * r.x + r.y * r.y + r.z * r.z; }
