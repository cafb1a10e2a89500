#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "kernel.hpp"

namespace mtpcore {
namespace {

struct Variant {
  const char* name;
  const Kernel& (*kernel)();
  bool available;
};

// Widest first.
const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = [] {
    std::vector<Variant> list;
#ifdef MTPCORE_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd");
    list.push_back({"avx512", avx512_kernel, avx512});
    list.push_back({"avx2", avx2_kernel, avx2});
#endif
    list.push_back({"generic", generic_kernel, true});
    return list;
  }();
  return all;
}

const Variant& find(const std::string& name) {
  for (const Variant& variant : variants())
    if (variant.name == name && variant.available) return variant;
  std::string message = "SIMD variant '" + name + "' is not available here; choose one of:";
  for (const std::string& known : simd_available()) message += " " + known;
  throw std::invalid_argument(message);
}

const Variant& initial() {
  const char* forced = std::getenv("MTPCORE_SIMD");
  if (forced == nullptr || *forced == '\0') return find(simd_available().front());
  try {
    return find(forced);
  } catch (const std::invalid_argument& fault) {
    throw std::invalid_argument("environment variable MTPCORE_SIMD: " + std::string(fault.what()));
  }
}

std::atomic<const Variant*>& current() {
  static std::atomic<const Variant*> variant{&initial()};
  return variant;
}

}  // namespace

const Kernel& kernel() { return current().load()->kernel(); }
std::string simd_name() { return current().load()->name; }
void select_simd(const std::string& name) { current().store(&find(name)); }

double* Workspace::reserve(size_t doubles) {
  if (buffer.size() < doubles) buffer.resize(doubles + doubles / 4);
  return buffer.data();
}

std::vector<std::string> simd_available() {
  std::vector<std::string> names;
  for (const Variant& variant : variants())
    if (variant.available) names.emplace_back(variant.name);
  return names;
}

GradeTable::GradeTable(const Model& m, const double* inverse_transposed)
    : parameter_count(m.parameter_count()),
      panel_count((m.parameter_count() + kPanel - 1) / kPanel),
      depth(m.row_size() + 1),
      panels(static_cast<size_t>(m.species_count) * panel_count * depth * kPanel, 0.0) {
  for (int species = 0; species < m.species_count; ++species)
    for (int column = 0; column < parameter_count; ++column) {
      const double* inverse = inverse_transposed + static_cast<size_t>(column) * parameter_count;
      double* out = panels.data() +
                    (static_cast<size_t>(species) * panel_count + column / kPanel) * depth * kPanel + column % kPanel;
      for (int p = 0; p < m.row_block(); ++p) out[p * kPanel] = inverse[species * m.row_block() + p];
      out[m.row_block() * kPanel] = inverse[m.radial_count() + species];
      for (int s = 0; s < m.scalar_count; ++s)
        out[(m.row_block() + 1 + s) * kPanel] = inverse[m.radial_count() + m.species_count + s];
    }
}

}  // namespace mtpcore
