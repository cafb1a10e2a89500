// A moment tensor potential as data: what an .mtp/.almtp file holds.
// Model: Shapeev, Multiscale Model. Simul. 14, 1153 (2016); Novikov et al., Mach. Learn. Sci. Technol. 2, 025002 (2021).
#pragma once

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace mtpcore {

// A file that is truncated, mistyped or inconsistent.
class FormatError : public std::runtime_error {
 public:
  FormatError(std::string path, long line, std::string expected, std::string found);
  std::string path, expected, found;
  long line;  // 0 when the fault is not tied to one line
};

// MaxVol state stored behind the text of an .almtp file (MLIP-3, "#MVS_v1.1").
struct ActiveSet {
  double energy_weight = 0.0, force_weight = 0.0, stress_weight = 0.0;
  double site_energy_weight = 1.0;  // 1 = neighbourhood mode, 0 with energy_weight 1 = configuration mode
  int weight_scaling = 0;
  std::vector<double> matrix;              // (n, n), one row of site-energy derivatives per line
  std::vector<double> inverse_transposed;  // (n, n), [i][j] = (matrix^-1)[j][i], as MLIP-3 stores it
  std::vector<int> configuration_index, equation_index;  // (n), -1 where the row is a start value
  std::string configurations;                            // selected configurations, .cfg text

  bool neighborhood_mode() const { return site_energy_weight != 0.0; }
};

struct Potential {
  std::string name = "MTP1m", tag;
  double scaling = 1.0;
  int species_count = 0;
  double min_dist = 0.0, max_dist = 0.0;  // angstrom
  int radial_basis_size = 0, radial_funcs_count = 0;
  std::vector<int> species_labels;  // the numbers in the headings "i-j" of the radial blocks
  std::vector<std::array<int, 4>> index_basic;  // mu, x, y, z
  std::vector<std::array<int, 4>> index_times;  // left, right, multiplicity, target
  std::vector<int> moment_mapping;              // the moments that are scalars of the basis
  int moments_count = 0;
  bool trained = false;               // false: a template without coefficients
  std::vector<double> radial_coeffs;  // (species, species, radial_funcs_count, radial_basis_size)
  std::vector<double> species_coeffs, moment_coeffs;
  std::optional<ActiveSet> active_set;

  int radial_count() const {
    return species_count * species_count * radial_funcs_count * radial_basis_size;
  }
  int parameter_count() const {
    return radial_count() + species_count + static_cast<int>(moment_mapping.size());
  }
};

// Throws std::invalid_argument naming the first inconsistency.
void validate(const Potential& potential);

Potential read_potential(const std::string& path);
// `path` names the source in errors, `content` is the whole file.
Potential parse_potential(const std::string& path, const std::string& content);
std::string read_file(const std::string& path);
// Writes to a temporary file beside `path` and renames it.
void write_potential(const std::string& path, const Potential& potential);

}  // namespace mtpcore
