#include "potential.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace mtpcore {
namespace {

void need(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument(message);
}

void need_finite(const std::vector<double>& values, size_t count, const char* what) {
  need(values.size() == count,
       std::string(what) + " has " + std::to_string(values.size()) + " entries, " + std::to_string(count) + " needed");
  for (double value : values) need(std::isfinite(value), std::string(what) + " holds NaN or infinity");
}

bool is_line(const std::string& text) {
  const std::string_view blank = " \t\n\v\f\r";
  return text.find('\n') == std::string::npos &&
         (text.empty() || (blank.find(text.front()) == blank.npos && blank.find(text.back()) == blank.npos));
}

void validate_basics(const Potential& p) {
  int largest_mu = -1;
  for (size_t i = 0; i < p.index_basic.size(); ++i) {
    const auto& [mu, x, y, z] = p.index_basic[i];
    const std::string where = "alpha_index_basic row " + std::to_string(i);
    need(mu >= 0 && mu < p.radial_funcs_count,
         where + ": radial function " + std::to_string(mu) + " of " + std::to_string(p.radial_funcs_count));
    need(x >= 0 && y >= 0 && z >= 0 && x <= 32 && y <= 32 && z <= 32 && x + y + z <= 32,
         where + ": powers outside 0..32");
    largest_mu = std::max(largest_mu, mu);
  }
  need(largest_mu == p.radial_funcs_count - 1,
       "radial_funcs_count is " + std::to_string(p.radial_funcs_count) + " but the largest radial function is " +
           std::to_string(largest_mu));
}

void validate_times(const Potential& p) {
  const int basics = static_cast<int>(p.index_basic.size());
  for (size_t i = 0; i < p.index_times.size(); ++i) {
    const auto& [left, right, multiplicity, target] = p.index_times[i];
    const std::string where = "alpha_index_times row " + std::to_string(i);
    need(target >= basics && target < p.moments_count, where + ": target " + std::to_string(target));
    need(multiplicity > 0, where + ": multiplicity " + std::to_string(multiplicity));
    // A factor from behind its product could not have been evaluated yet.
    need(left >= 0 && right >= 0 && left < target && right < target, where + ": factor not below its target");
  }
}

}  // namespace

void validate(const Potential& p) {
  need(p.species_count >= 1, "species_count must be at least 1");
  need(std::isfinite(p.scaling) && p.scaling != 0.0, "scaling must be finite and not zero");
  need(std::isfinite(p.min_dist) && std::isfinite(p.max_dist) && p.min_dist >= 0.0 && p.min_dist < p.max_dist,
       "min_dist and max_dist must satisfy 0 <= min_dist < max_dist");
  need(p.radial_basis_size >= 2 && p.radial_funcs_count >= 1, "radial basis is empty");
  need(!p.index_basic.empty() && static_cast<int>(p.index_basic.size()) <= p.moments_count,
       "alpha_moments_count is smaller than alpha_index_basic_count");
  need(is_line(p.name) && is_line(p.tag), "name and tag must be single lines with no blanks at their ends");
  need(!p.active_set || (p.name + p.tag).find('#') == std::string::npos,
       "name and tag must hold no '#', by which readers find the active set");
  validate_basics(p);
  validate_times(p);
  std::vector<char> defined(static_cast<size_t>(p.moments_count), 0);
  for (size_t i = 0; i < p.index_basic.size(); ++i) defined[i] = 1;
  for (const auto& row : p.index_times) defined[static_cast<size_t>(row[3])] = 1;
  for (int i = 0; i < p.moments_count; ++i)
    need(defined[static_cast<size_t>(i)], "moment " + std::to_string(i) + " is never computed");
  need(!p.moment_mapping.empty(), "alpha_moment_mapping is empty");
  std::vector<char> seen(static_cast<size_t>(p.moments_count), 0);
  for (int index : p.moment_mapping) {
    need(index >= 0 && index < p.moments_count, "alpha_moment_mapping entry " + std::to_string(index));
    need(!seen[static_cast<size_t>(index)], "alpha_moment_mapping lists moment " + std::to_string(index) + " twice");
    seen[static_cast<size_t>(index)] = 1;
  }
  need_finite(p.radial_coeffs, static_cast<size_t>(p.radial_count()), "radial_coeffs");
  need_finite(p.species_coeffs, static_cast<size_t>(p.species_count), "species_coeffs");
  need_finite(p.moment_coeffs, p.moment_mapping.size(), "moment_coeffs");
  need(p.species_labels.empty() || static_cast<int>(p.species_labels.size()) == p.species_count,
       "species_labels does not match species_count");
  if (p.active_set) {
    const size_t n = static_cast<size_t>(p.parameter_count());
    need_finite(p.active_set->matrix, n * n, "active-set matrix");
    need_finite(p.active_set->inverse_transposed, n * n, "inverse of the active set");
    need(p.active_set->configuration_index.size() == n && p.active_set->equation_index.size() == n,
         "active-set links do not match the number of parameters");
  }
}

}  // namespace mtpcore
