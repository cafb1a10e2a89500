// Reader and writer of MLIP's .mtp and .almtp files (version 1.1.0).
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string_view>

#include "potential.hpp"

namespace mtpcore {

namespace {

// Files may hold any bytes; messages hold printable ones.
std::string printable(std::string text) {
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

}  // namespace

FormatError::FormatError(std::string path_, long line_, std::string expected_, std::string found_)
    : std::runtime_error(path_ + (line_ > 0 ? ":" + std::to_string(line_) : "") + ": expected " + expected_ +
                         ", found " + printable(found_)),
      path(std::move(path_)),
      expected(std::move(expected_)),
      found(printable(std::move(found_))),
      line(line_) {}

namespace {

constexpr int kMaxCount = 1 << 24;  // a count beyond this is a damaged file, not a potential
constexpr std::string_view kSelectionMark = "#MVS_v1.1";

// Cursor over the text of one file; every failure knows the line it happened on.
class Cursor {
 public:
  Cursor(const std::string& path, std::string_view text, size_t position = 0) : path_(path), text_(text) {
    skip(position);
  }

  [[noreturn]] void fail(const std::string& expected, const std::string& found = "") const {
    throw FormatError(path_, line_, expected, found.empty() ? shown() : found);
  }

  void skip_blank() {
    while (pos_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[pos_]))) {
      if (text_[pos_] == '\n') ++line_;
      ++pos_;
    }
  }

  // The word at the cursor (letters, digits, '_'), left in place.
  std::string_view peek_word() {
    skip_blank();
    size_t end = pos_;
    while (end < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[end])) || text_[end] == '_')) ++end;
    return text_.substr(pos_, end - pos_);
  }

  bool take_word(std::string_view word) {
    if (peek_word() != word) return false;
    pos_ += word.size();
    return true;
  }

  void want_word(std::string_view word) {
    if (!take_word(word)) fail("'" + std::string(word) + "'");
  }

  void want(char symbol) {
    if (!take(symbol)) fail(std::string("'") + symbol + "'");
  }

  bool next_is(char symbol) {
    skip_blank();
    return pos_ < text_.size() && text_[pos_] == symbol;
  }

  bool take(char symbol) {
    if (!next_is(symbol)) return false;
    ++pos_;
    return true;
  }

  std::string rest_of_line() {
    while (pos_ < text_.size() && (text_[pos_] == ' ' || text_[pos_] == '\t')) ++pos_;
    size_t end = text_.find('\n', pos_);
    if (end == std::string::npos) end = text_.size();
    std::string value(text_.substr(pos_, end - pos_));
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back()))) value.pop_back();
    pos_ = end;
    return value;
  }

  int integer(const char* what, int low = 0, int high = kMaxCount) {
    skip_blank();
    int value = 0;
    auto [end, error] = std::from_chars(text_.data() + pos_, text_.data() + text_.size(), value);
    if (error != std::errc()) fail(std::string("an integer (") + what + ")");
    if (value < low || value > high)
      fail(std::string(what) + " in " + std::to_string(low) + ".." + std::to_string(high), std::to_string(value));
    advance_number(end, what);
    return value;
  }

  double real(const char* what) {
    skip_blank();
    double value = 0;
    auto [end, error] = std::from_chars(text_.data() + pos_, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) fail(std::string("a number within double range (") + what + ")");
    if (error != std::errc()) fail(std::string("a number (") + what + ")");
    if (!std::isfinite(value)) fail(std::string("a finite number (") + what + ")");
    advance_number(end, what);
    return value;
  }

  int assigned_integer(const char* key, int low = 0, int high = kMaxCount) {
    want_word(key);
    want('=');
    return integer(key, low, high);
  }

  std::vector<double> assigned_reals(const char* key, int count) {
    want_word(key);
    want('=');
    return braced_reals(key, count);
  }

  std::vector<double> braced_reals(const char* what, int count) {
    std::vector<double> values;
    braced(what, count, [&] { values.push_back(real(what)); });
    return values;
  }

  // { item, item, ... } with exactly `count` items.
  void braced(const char* what, int count, const std::function<void()>& item) {
    want('{');
    for (int i = 0; i < count; ++i) {
      if (i > 0 && !take(',')) fail(std::to_string(count) + " entries of " + what, "only " + std::to_string(i));
      item();
    }
    if (!take('}')) fail("'}' after " + std::to_string(count) + " entries of " + what);
  }

  std::array<int, 4> quadruple(const char* what) {
    std::array<int, 4> row{};
    int i = 0;
    braced(what, 4, [&] { row[static_cast<size_t>(i++)] = integer(what); });
    return row;
  }

  bool at_end() {
    skip_blank();
    return pos_ >= text_.size();
  }

  // The next bytes, whatever they are.
  std::string_view raw(size_t count, const char* what) {
    if (text_.size() - pos_ < count)
      fail(std::to_string(count) + " bytes of " + what, std::to_string(text_.size() - pos_));
    const std::string_view bytes = text_.substr(pos_, count);
    skip(count);
    return bytes;
  }

  std::string_view rest() const { return text_.substr(pos_); }

 private:
  void skip(size_t count) {
    line_ += std::count(text_.begin() + pos_, text_.begin() + pos_ + count, '\n');
    pos_ += count;
  }

  // Text glued to a number ("1.5x") is a typing error, not the end of the number.
  void advance_number(const char* end, const char* what) {
    size_t next = static_cast<size_t>(end - text_.data());
    if (next < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[next])) || text_[next] == '.'))
      fail(std::string("a number (") + what + ")");
    pos_ = next;
  }

  std::string shown() const {
    if (pos_ >= text_.size()) return "the end of the file";
    const std::string piece(text_.substr(pos_, 24));
    return "'" + piece.substr(0, piece.find('\n')) + "'";
  }

  const std::string& path_;
  std::string_view text_;
  size_t pos_ = 0;
  long line_ = 1;
};

void read_head(Cursor& in, Potential& p) {
  in.want_word("MTP");
  in.want_word("version");
  in.want('=');
  if (std::string version = in.rest_of_line(); version != "1.1.0") in.fail("version 1.1.0", "'" + version + "'");
  while (true) {
    if (in.take_word("potential_name")) {
      in.want('=');
      p.name = in.rest_of_line();
    } else if (in.take_word("scaling")) {
      in.want('=');
      p.scaling = in.real("scaling");
    } else if (in.take_word("species_count")) {
      in.want('=');
      p.species_count = in.integer("species_count", 1, 1000);
    } else if (in.take_word("potential_tag")) {
      in.want('=');
      p.tag = in.rest_of_line();
    } else {
      break;
    }
  }
  if (p.species_count == 0) in.fail("species_count before the radial basis");
}

// Rows of the first block of radial coefficients; the caller's cursor stays where it is.
int count_rows(Cursor ahead, int radial_basis_size) {
  ahead.want_word("radial_coeffs");
  ahead.integer("species label");
  ahead.want('-');
  ahead.integer("species label");
  int rows = 0;
  do {
    ahead.braced_reals("radial_coeffs", radial_basis_size);
    ++rows;
  } while (ahead.next_is('{'));
  return rows;
}

// Both generations of names: min_dist/max_dist/radial_basis_size and min_val/max_val/basis_size or min/max/size.
void read_radial_basis(Cursor& in, Potential& p) {
  auto any_of = [&](std::initializer_list<const char*> keys) {
    for (const char* key : keys)
      if (in.take_word(key)) {
        in.want('=');
        return;
      }
    in.fail(std::string("'") + *keys.begin() + "'");
  };
  in.want_word("radial_basis_type");
  in.want('=');
  if (std::string type = in.rest_of_line(); type != "RBChebyshev")
    in.fail("radial_basis_type RBChebyshev (the only one supported)", "'" + type + "'");
  if (in.take_word("scaling")) {
    in.want('=');
    p.scaling *= in.real("scaling");
  }
  any_of({"min_dist", "min_val", "min"});
  p.min_dist = in.real("min_dist");
  any_of({"max_dist", "max_val", "max"});
  p.max_dist = in.real("max_dist");
  any_of({"radial_basis_size", "basis_size", "size"});
  p.radial_basis_size = in.integer("radial_basis_size", 2, 1000);
  if (in.peek_word() == "magnetic_basis_type") in.fail("a non-magnetic potential", "magnetic_basis_type");
  // motep's own format gives the number behind the coefficients.
  const bool behind = in.peek_word() == "radial_coeffs";
  p.radial_funcs_count =
      behind ? count_rows(in, p.radial_basis_size) : in.assigned_integer("radial_funcs_count", 1, 1000);
  if (1LL * p.species_count * p.species_count * p.radial_funcs_count * p.radial_basis_size > kMaxCount)
    in.fail("fewer than " + std::to_string(kMaxCount) + " radial coefficients");
}

void read_radial_coeffs(Cursor& in, Potential& p) {
  if (!in.take_word("radial_coeffs")) return;
  p.trained = true;
  std::vector<int> labels;
  for (int a = 0; a < p.species_count; ++a)
    for (int b = 0; b < p.species_count; ++b) {
      const int left = in.integer("species label", 0, 1000);
      in.want('-');
      const int right = in.integer("species label", 0, 1000);
      const std::string found = std::to_string(left) + "-" + std::to_string(right);
      if (a == 0) {  // the first row of blocks names the species
        if (std::find(labels.begin(), labels.end(), right) != labels.end())
          in.fail("a radial block of another species", found);
        labels.push_back(right);
      }
      const int wanted_left = labels[static_cast<size_t>(a)], wanted_right = labels[static_cast<size_t>(b)];
      if (left != wanted_left || right != wanted_right)
        in.fail("radial block " + std::to_string(wanted_left) + "-" + std::to_string(wanted_right), found);
      for (int mu = 0; mu < p.radial_funcs_count; ++mu) {
        const auto row = in.braced_reals("radial_coeffs", p.radial_basis_size);
        p.radial_coeffs.insert(p.radial_coeffs.end(), row.begin(), row.end());
      }
    }
  p.species_labels = labels;
  if (in.peek_word() == "radial_funcs_count")
    in.assigned_integer("radial_funcs_count", p.radial_funcs_count, p.radial_funcs_count);
}

void read_tables(Cursor& in, Potential& p) {
  p.moments_count = in.assigned_integer("alpha_moments_count", 1);
  const int basics = in.assigned_integer("alpha_index_basic_count", 1);
  in.want_word("alpha_index_basic");
  in.want('=');
  in.braced("alpha_index_basic", basics, [&] { p.index_basic.push_back(in.quadruple("alpha_index_basic")); });
  const int times = in.assigned_integer("alpha_index_times_count");
  in.want_word("alpha_index_times");
  in.want('=');
  in.braced("alpha_index_times", times, [&] { p.index_times.push_back(in.quadruple("alpha_index_times")); });
  const int scalars = in.assigned_integer("alpha_scalar_moments", 1);
  in.want_word("alpha_moment_mapping");
  in.want('=');
  in.braced("alpha_moment_mapping", scalars,
            [&] { p.moment_mapping.push_back(in.integer("alpha_moment_mapping")); });
}

void read_linear_coeffs(Cursor& in, Potential& p) {
  if (!p.trained) {
    if (in.peek_word() == "species_coeffs") in.fail("radial_coeffs, since species_coeffs are given");
    p.radial_coeffs.assign(static_cast<size_t>(p.radial_count()), 0.0);
    p.species_coeffs.assign(static_cast<size_t>(p.species_count), 0.0);
    p.moment_coeffs.assign(p.moment_mapping.size(), 0.0);
    return;
  }
  p.species_coeffs = in.assigned_reals("species_coeffs", p.species_count);
  p.moment_coeffs = in.assigned_reals("moment_coeffs", static_cast<int>(p.moment_mapping.size()));
}

std::vector<double> read_matrix(Cursor& in, size_t n) {
  const std::string_view bytes = in.raw(n * n * sizeof(double), "active-set matrix");
  std::vector<double> values(n * n);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  for (double value : values)
    if (!std::isfinite(value)) in.fail("finite numbers in the active-set matrices", "NaN or infinity");
  return values;
}

// Tries A (A^-1 v) = v on a vector: finds matrices in the wrong order or layout and most damage at the cost of four
// matrix-vector products. Errors are measured against the sum of the sizes of what was added up, since rows of an
// active set may differ by many orders of magnitude and its inverse may have been updated many times.
bool are_inverse(const std::vector<double>& matrix, const std::vector<double>& inverse_transposed, size_t n) {
  std::vector<double> v(n), solved(n, 0.0), size(n, 0.0);
  for (size_t i = 0; i < n; ++i) v[i] = 1.0 + 0.5 * std::sin(static_cast<double>(i * i));
  for (size_t j = 0; j < n; ++j)
    for (size_t i = 0; i < n; ++i) {
      const double term = inverse_transposed[j * n + i] * v[j];
      solved[i] += term;
      size[i] += std::abs(term);
    }
  for (size_t i = 0; i < n; ++i) {
    double sum = -v[i], scale = 0.0;
    for (size_t j = 0; j < n; ++j) {
      sum += matrix[i * n + j] * solved[j];
      scale += std::abs(matrix[i * n + j]) * size[j];
    }
    if (!(std::abs(sum) <= 1e-6 * scale)) return false;
  }
  return true;
}

// Complete configurations in the rest of the file; returns their number.
int check_configurations(Cursor in) {
  int count = 0;
  while (!in.at_end()) {
    in.want_word("BEGIN_CFG");
    while (!in.take_word("END_CFG")) {
      if (in.at_end()) in.fail("END_CFG");
      in.rest_of_line();
    }
    ++count;
  }
  return count;
}

// Weights, '#', two n x n matrices of doubles, '#', links row -> configuration, '#', configurations.
ActiveSet read_active_set(Cursor& in, size_t n) {
  ActiveSet set;
  auto weight = [&](const char* key, double& value) {
    in.want_word(key);
    value = in.real(key);
  };
  weight("energy_weight", set.energy_weight);
  weight("force_weight", set.force_weight);
  weight("stress_weight", set.stress_weight);
  weight("site_en_weight", set.site_energy_weight);
  in.want_word("weight_scaling");
  set.weight_scaling = in.integer("weight_scaling", -100, 100);
  in.want('#');
  set.matrix = read_matrix(in, n);
  set.inverse_transposed = read_matrix(in, n);
  if (!are_inverse(set.matrix, set.inverse_transposed, n)) in.fail("an active set and its inverse", "other matrices");
  in.want('#');
  for (size_t i = 0; i < n; ++i) {
    set.configuration_index.push_back(in.integer("index of a selected configuration", -1));
    set.equation_index.push_back(in.integer("index of an equation", -1));
  }
  in.want('#');
  if (!in.rest().empty() && in.rest().front() == '\n') in.raw(1, "line end");
  const int count = check_configurations(in);
  for (int index : set.configuration_index)
    if (index >= count)
      in.fail("configuration " + std::to_string(index) + ", which is linked to", std::to_string(count) + " configurations");
  set.configurations = in.rest();
  return set;
}

// ---------------------------------------------------------------- writing

void put(std::string& out, double value) {
  char buffer[40];
  // 17 significant digits: read back, the same double, so write-read-write repeats itself.
  std::snprintf(buffer, sizeof buffer, "%.16e", value);
  out += buffer;
}

void put_list(std::string& out, const double* values, size_t count) {
  out += '{';
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) out += ", ";
    put(out, values[i]);
  }
  out += '}';
}

void put_rows(std::string& out, const std::vector<std::array<int, 4>>& rows) {
  out += '{';
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) out += ", ";
    out += '{';
    for (size_t j = 0; j < 4; ++j) out += (j ? ", " : "") + std::to_string(rows[i][j]);
    out += '}';
  }
  out += "}\n";
}

void put_radial(std::string& out, const Potential& p) {
  out += "radial_basis_type = RBChebyshev\n\tmin_dist = ";
  put(out, p.min_dist);
  out += "\n\tmax_dist = ";
  put(out, p.max_dist);
  out += "\n\tradial_basis_size = " + std::to_string(p.radial_basis_size);
  out += "\n\tradial_funcs_count = " + std::to_string(p.radial_funcs_count) + "\n";
  if (!p.trained) return;
  out += "\tradial_coeffs\n";
  const double* row = p.radial_coeffs.data();
  const auto label = [&](int i) {
    return std::to_string(p.species_labels.empty() ? i : p.species_labels[static_cast<size_t>(i)]);
  };
  for (int a = 0; a < p.species_count; ++a)
    for (int b = 0; b < p.species_count; ++b) {
      out += "\t\t" + label(a) + "-" + label(b) + "\n";
      for (int mu = 0; mu < p.radial_funcs_count; ++mu, row += p.radial_basis_size) {
        out += "\t\t\t";
        put_list(out, row, static_cast<size_t>(p.radial_basis_size));
        out += "\n";
      }
    }
}

void put_tables(std::string& out, const Potential& p) {
  out += "alpha_moments_count = " + std::to_string(p.moments_count) + "\n";
  out += "alpha_index_basic_count = " + std::to_string(p.index_basic.size()) + "\nalpha_index_basic = ";
  put_rows(out, p.index_basic);
  out += "alpha_index_times_count = " + std::to_string(p.index_times.size()) + "\nalpha_index_times = ";
  put_rows(out, p.index_times);
  out += "alpha_scalar_moments = " + std::to_string(p.moment_mapping.size()) + "\nalpha_moment_mapping = {";
  for (size_t i = 0; i < p.moment_mapping.size(); ++i) out += (i ? ", " : "") + std::to_string(p.moment_mapping[i]);
  out += "}\n";
}

void put_active_set(std::string& out, const ActiveSet& set) {
  auto weight = [&](const char* key, double value) {
    out += key;
    out += ' ';
    put(out, value);
    out += '\n';
  };
  out += "\n#MVS_v1.1\n";
  weight("energy_weight", set.energy_weight);
  weight("force_weight", set.force_weight);
  weight("stress_weight", set.stress_weight);
  weight("site_en_weight", set.site_energy_weight);
  out += "weight_scaling " + std::to_string(set.weight_scaling) + "\n#";
  for (const auto* matrix : {&set.matrix, &set.inverse_transposed})
    out.append(reinterpret_cast<const char*>(matrix->data()), matrix->size() * sizeof(double));
  out += "\n#\n";
  for (size_t i = 0; i < set.configuration_index.size(); ++i)
    out += std::to_string(set.configuration_index[i]) + " " + std::to_string(set.equation_index[i]) + "\n";
  out += "#\n" + set.configurations;
}

void replace_file(const std::string& path, const std::string& content) {
  const std::string temporary = path + ".tmp" + std::to_string(::getpid());
  {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    file.flush();
    if (!file) {
      const std::string reason = std::strerror(errno);
      std::remove(temporary.c_str());
      throw std::runtime_error("cannot write " + path + ": " + reason);
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    const std::string reason = std::strerror(errno);
    std::remove(temporary.c_str());
    throw std::runtime_error("cannot write " + path + ": " + reason);
  }
}

// The mark at the begin of a line: a potential's name may hold the same letters.
size_t find_selection(const std::string& file) {
  size_t at = file.find(kSelectionMark);
  while (at != std::string::npos && at > 0 && file[at - 1] != '\n') at = file.find(kSelectionMark, at + 1);
  return at;
}

}  // namespace

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw FormatError(path, 0, "a readable file", std::strerror(errno));
  std::string text;
  char chunk[1 << 16];
  while (file.read(chunk, sizeof chunk) || file.gcount() > 0)
    text.append(chunk, static_cast<size_t>(file.gcount()));
  if (file.bad()) throw FormatError(path, 0, "a readable file", std::strerror(errno));
  return text;
}

Potential read_potential(const std::string& path) { return parse_potential(path, read_file(path)); }

Potential parse_potential(const std::string& path, const std::string& file) {
  const size_t mark = find_selection(file);
  Cursor in(path, std::string_view(file).substr(0, mark));
  Potential p;
  read_head(in, p);
  read_radial_basis(in, p);
  read_radial_coeffs(in, p);
  read_tables(in, p);
  read_linear_coeffs(in, p);
  if (!in.at_end()) in.fail("the end of the potential");
  try {
    validate(p);
  } catch (const std::invalid_argument& fault) {
    throw FormatError(path, 0, "a consistent potential", fault.what());
  }
  if (mark != std::string::npos) {
    Cursor selection(path, file, mark + kSelectionMark.size());
    p.active_set = read_active_set(selection, static_cast<size_t>(p.parameter_count()));
  }
  return p;
}

void write_potential(const std::string& path, const Potential& p) {
  validate(p);
  std::string out = "MTP\nversion = 1.1.0\npotential_name = " + p.name + "\nscaling = ";
  put(out, p.scaling);
  out += "\nspecies_count = " + std::to_string(p.species_count) + "\npotential_tag = " + p.tag + "\n";
  put_radial(out, p);
  put_tables(out, p);
  if (p.trained) {
    out += "species_coeffs = ";
    put_list(out, p.species_coeffs.data(), p.species_coeffs.size());
    out += "\nmoment_coeffs = ";
    put_list(out, p.moment_coeffs.data(), p.moment_coeffs.size());
    out += "\n";
  }
  if (p.active_set) put_active_set(out, *p.active_set);
  replace_file(path, out);
}

}  // namespace mtpcore
