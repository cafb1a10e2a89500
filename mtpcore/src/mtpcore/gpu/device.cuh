// What kernels are written in: the same text is compiled by NVRTC for a GPU and by a C++ compiler for a processor.
//
// A kernel is a sequence of phases. In a phase every thread of a block does its part; then all wait for one another.
// Nothing but shared and global memory outlives a phase, and numbers `PerThread`, so that a processor can run the threads
// of a block one after another, in any order, and a barrier cannot be forgotten.
#pragma once

#ifdef MTP_EMULATED

#include <cmath>
#include <cstring>
#define DEVICE static inline
#define DEVICE_MEMBER
#define CONSTANT constexpr
#define TABLE static const
#define COMMON_TABLE static const
#define UNROLL
#define UNROLL_BY(count)
#define ALIGNED(bytes) alignas(bytes)
static int emulated_grid = 0, emulated_threads = 0, emulated_block = 0, emulated_order = 0;
static double* emulated_shared = nullptr;
static inline int block_index() { return emulated_block; }
static inline double* shared_memory() { return emulated_shared; }
template <class F>
static inline void phase(F work) {
  for (int t = 0; t < emulated_threads; ++t) work(emulated_order ? emulated_threads - 1 - t : t);
}
// A phase that no one waits for, since it writes only numbers of its own thread.
template <class F>
static inline void own_phase(F work) {
  phase(work);
}
template <class T, int kCount>
struct PerThread {
  T numbers[1024][kCount];
  T* of(int t) { return numbers[t]; }
};
template <int kCount, class T, int kAll>
static inline void fold(PerThread<T, kAll>& numbers, int stride) {
  constexpr int kHalf = (kCount + 1) / 2;
  for (int t = 0; t < emulated_threads; ++t) {
    if (t & stride) continue;
    T *low = numbers.of(t), *high = numbers.of(t + stride);
    for (int k = 0; k < kHalf; ++k) {
      const T rest = k + kHalf < kCount ? low[k + kHalf] + high[k + kHalf] : T(0);
      low[k] += high[k];
      high[k] = rest;
    }
  }
}
static inline void add_integer(long long* sum, long long x) { *sum += x; }
static inline int raise_by_one(int* count) { return (*count)++; }
static inline void raise_to(int* largest, int x) { *largest = x > *largest ? x : *largest; }
static inline void lower_to(unsigned long long* least, double x) {
  unsigned long long bits;
  std::memcpy(&bits, &x, sizeof bits);
  *least = bits < *least ? bits : *least;
}
// A word of what each of 32 threads says; all of them have to ask together.
static inline void vote(unsigned* word, int bit, bool yes) { *word = (*word & ~(1u << bit)) | (yes ? 1u << bit : 0u); }
static inline double load_lasting(const double* from) { return *from; }
template <class T>
static inline T load(const T* from) { return *from; }
static inline double inverse_root(double x) { return 1.0 / std::sqrt(x); }
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
#define KERNEL(name, bounds, parameters, arguments)                                      \
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
#define COMMON_TABLE static __constant__ const  // all threads read the same of it
#define UNROLL _Pragma("unroll")
#define PRAGMA(text) _Pragma(#text)
#define UNROLL_BY(count) PRAGMA(unroll count)
#define ALIGNED(bytes) __align__(bytes)
DEVICE int block_index() { return static_cast<int>(blockIdx.x); }
DEVICE double* shared_memory() {
  extern __shared__ __align__(16) double memory[];
  return memory;
}
template <class F>
DEVICE void phase(F work) {
  work(static_cast<int>(threadIdx.x));
  __syncthreads();
}
template <class F>
DEVICE void own_phase(F work) {
  work(static_cast<int>(threadIdx.x));
}
template <class T, int kCount>
struct PerThread {
  T numbers[kCount];
  DEVICE_MEMBER T* of(int) { return numbers; }
};
// Adds up numbers of threads of a warp that are a stride apart: the first of two keeps the first half, the other the rest.
template <int kCount, class T, int kAll>
DEVICE void fold(PerThread<T, kAll>& numbers, int stride) {
  constexpr int kHalf = (kCount + 1) / 2;
  const bool is_first = (threadIdx.x & stride) == 0;
  UNROLL
  for (int k = 0; k < kHalf; ++k) {
    const T first = numbers.numbers[k], second = k + kHalf < kCount ? numbers.numbers[k + kHalf] : T(0);
    numbers.numbers[k] = (is_first ? first : second) + __shfl_xor_sync(0xffffffffu, is_first ? second : first, stride);
  }
}
DEVICE void add_integer(long long* sum, long long x) {
  atomicAdd(reinterpret_cast<unsigned long long*>(sum), static_cast<unsigned long long>(x));
}
DEVICE int raise_by_one(int* count) { return atomicAdd(count, 1); }
DEVICE void raise_to(int* largest, int x) { atomicMax(largest, x); }
// Of numbers that are not negative, whose bits are in the same order.
DEVICE void lower_to(unsigned long long* least, double x) {
  atomicMin(least, static_cast<unsigned long long>(__double_as_longlong(x)));
}
DEVICE void vote(unsigned* word, int bit, bool yes) {
  const unsigned all = __ballot_sync(0xffffffffu, yes);
  if (bit == 0) *word = all;
}
// For what all blocks read again and again, which what they read once must not drive out of the level-1 cache.
DEVICE double load_lasting(const double* from) {
  double value;
  asm("ld.global.nc.L1::evict_last.f64 %0, [%1];" : "=d"(value) : "l"(from));
  return value;
}
// 8 or 16 bytes at once.
template <class T>
DEVICE T load(const T* from) {
  T value;
  if constexpr (sizeof(T) == 16)
    *reinterpret_cast<int4*>(&value) = __ldg(reinterpret_cast<const int4*>(from));
  else
    *reinterpret_cast<int2*>(&value) = __ldg(reinterpret_cast<const int2*>(from));
  return value;
}
DEVICE double inverse_root(double x) { return rsqrt(x); }
DEVICE int bit_count(unsigned x) { return __popc(x); }
DEVICE long long to_integer(double x) { return __double2ll_rn(x); }
DEVICE unsigned high_product(unsigned a, unsigned b) { return __umulhi(a, b); }
#define KERNEL(name, bounds, parameters, arguments) extern "C" __global__ void __launch_bounds__(bounds) name parameters

#endif

// Numbers side by side, which are loaded and stored together.
template <class T, int kCount>
struct ALIGNED(sizeof(T) * kCount) Numbers {
  T of[kCount];
};

// Places of them in shared memory.
#ifdef MTP_EMULATED
template <class T, int kCount>
class SharedPlaces {
 public:
  explicit SharedPlaces(T* begin) : begin_(begin) {}
  Numbers<T, kCount> get(unsigned place) const { return *at(place); }
  void put(unsigned place, const Numbers<T, kCount>& value) const { *at(place) = value; }

 private:
  Numbers<T, kCount>* at(unsigned place) const { return reinterpret_cast<Numbers<T, kCount>*>(begin_ + kCount * place); }
  T* begin_;
};
#else
DEVICE Numbers<double, 2> load_shared(unsigned at, Numbers<double, 2> value) {
  asm volatile("ld.shared.v2.f64 {%0, %1}, [%2];" : "=d"(value.of[0]), "=d"(value.of[1]) : "r"(at) : "memory");
  return value;
}
DEVICE Numbers<double, 1> load_shared(unsigned at, Numbers<double, 1> value) {
  asm volatile("ld.shared.f64 %0, [%1];" : "=d"(value.of[0]) : "r"(at) : "memory");
  return value;
}
DEVICE Numbers<float, 2> load_shared(unsigned at, Numbers<float, 2> value) {
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(value.of[0]), "=f"(value.of[1]) : "r"(at) : "memory");
  return value;
}
DEVICE Numbers<float, 1> load_shared(unsigned at, Numbers<float, 1> value) {
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value.of[0]) : "r"(at) : "memory");
  return value;
}
DEVICE void store_shared(unsigned at, const Numbers<double, 2>& value) {
  asm volatile("st.shared.v2.f64 [%0], {%1, %2};" ::"r"(at), "d"(value.of[0]), "d"(value.of[1]) : "memory");
}
DEVICE void store_shared(unsigned at, const Numbers<double, 1>& value) {
  asm volatile("st.shared.f64 [%0], %1;" ::"r"(at), "d"(value.of[0]) : "memory");
}
DEVICE void store_shared(unsigned at, const Numbers<float, 2>& value) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(at), "f"(value.of[0]), "f"(value.of[1]) : "memory");
}
DEVICE void store_shared(unsigned at, const Numbers<float, 1>& value) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(at), "f"(value.of[0]) : "memory");
}
// The compiler needs twice as many instructions for an address if it knows where it comes from.
template <class T, int kCount>
class SharedPlaces {
 public:
  __device__ explicit SharedPlaces(T* begin) : begin_(static_cast<unsigned>(__cvta_generic_to_shared(begin))) {
    asm volatile("" : "+r"(begin_));
  }
  __device__ Numbers<T, kCount> get(unsigned place) const { return load_shared(at(place), Numbers<T, kCount>()); }
  __device__ void put(unsigned place, const Numbers<T, kCount>& value) const { store_shared(at(place), value); }

 private:
  __device__ unsigned at(unsigned place) const {
    unsigned address;
    asm("mad.lo.u32 %0, %1, %2, %3;"
        : "=r"(address)
        : "r"(place), "n"(static_cast<int>(sizeof(T)) * kCount), "r"(begin_));
    return address;
  }
  unsigned begin_;
};
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
constexpr unsigned kHome = 62u << kAtomBits;  // an entry of atom 0 in the cell itself
DEVICE bool is_home(unsigned entry) { return entry >> kAtomBits == kHome >> kAtomBits; }
DEVICE Image image_of(unsigned entry) {
  const int code = static_cast<int>(entry >> kAtomBits);
  return {code / (kImages * kImages) - 2, code / kImages % kImages - 2, code % kImages - 2};
}
DEVICE int atom_of(unsigned entry) { return static_cast<int>(entry & ((1u << kAtomBits) - 1u)); }

struct Place {
  double x, y, z, species;
};
DEVICE Place place_of(const double* places, int i) {
  using Pair = Numbers<double, 2>;
  const Pair* both = reinterpret_cast<const Pair*>(places) + 2 * static_cast<long long>(i);
  const Pair xy = both[0], rest = both[1];
  return {xy.of[0], xy.of[1], rest.of[0], rest.of[1]};
}

// r_j - r_i for an entry of atom i's list.
struct Separation {
  double x, y, z;
};
constexpr Separation kFar = {1e30, 0.0, 0.0};
DEVICE Separation separation(const Place& from, const Place& to, const double* cell, unsigned entry) {
  Separation r = {to.x - from.x, to.y - from.y, to.z - from.z};
  if (is_home(entry)) return r;
  const Image m = image_of(entry);
  r.x += m.a * cell[0] + m.b * cell[3] + m.c * cell[6];
  r.y += m.a * cell[1] + m.b * cell[4] + m.c * cell[7];
  r.z += m.a * cell[2] + m.b * cell[5] + m.c * cell[8];
  return r;
}
DEVICE Separation separation(const double* places, const double* cell, int i, unsigned entry) {
  return separation(place_of(places, i), place_of(places, atom_of(entry)), cell, entry);
}
DEVICE double square(const Separation& r) { return r.x * r.x + r.y * r.y + r.z * r.z; }
