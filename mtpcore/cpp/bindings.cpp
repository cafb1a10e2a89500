// Python bindings: arrays in and out without copies where numpy allows it.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>

#include "bank_order.hpp"
#include "dataset.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace mtpcore;

namespace {

template <class T>
using Array = nb::ndarray<nb::numpy, T, nb::c_contig>;
template <class T>
using Input = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;

template <class T>
Array<T> own(std::vector<T>&& values, std::initializer_list<size_t> shape) {
  auto* kept = new std::vector<T>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return Array<T>(kept->data(), shape, owner);
}

template <class T>
nb::object copy(const std::vector<T>& values, std::initializer_list<size_t> shape) {
  return nb::cast(own(std::vector<T>(values), shape));
}

nb::object copy_rows(const std::vector<std::array<int, 4>>& rows) {
  std::vector<int> flat(rows.size() * 4);
  if (!rows.empty()) std::memcpy(flat.data(), rows.data(), flat.size() * sizeof(int));
  return nb::cast(own(std::move(flat), {rows.size(), 4}));
}

template <class T>
std::vector<T> to_vector(const Input<T>& array) {
  return std::vector<T>(array.data(), array.data() + array.size());
}

std::vector<std::array<int, 4>> to_rows(const Input<int>& array) {
  if (array.ndim() != 2 || array.shape(1) != 4) throw std::invalid_argument("index tables have shape (n, 4)");
  std::vector<std::array<int, 4>> rows(array.shape(0));
  if (!rows.empty()) std::memcpy(rows.data(), array.data(), rows.size() * 4 * sizeof(int));
  return rows;
}

// Names and configurations may hold any bytes: those that are no UTF-8 travel as lone surrogates, as in os.fsdecode.
nb::object to_text(const std::string& bytes) {
  PyObject* text = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "surrogateescape");
  if (text == nullptr) throw nb::python_error();
  return nb::steal(text);
}

std::string from_text(nb::str text) {
  const nb::object bytes = nb::steal(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "surrogateescape"));
  if (!bytes.is_valid()) throw nb::python_error();
  return std::string(PyBytes_AsString(bytes.ptr()), static_cast<size_t>(PyBytes_Size(bytes.ptr())));
}

template <class C>
void bind_text(nb::class_<C>& type, const char* name, std::string C::* member) {
  type.def_prop_rw(
      name, [member](const C& object) { return to_text(object.*member); },
      [member](C& object, nb::str text) { object.*member = from_text(text); });
}

size_t size(int n) { return static_cast<size_t>(n); }

// One structure as passed from Python; keeps the arrays alive while the evaluation runs without the GIL.
struct Structure {
  Input<int> types;
  Input<double> positions, cell;
  System system;

  Structure(Input<int> types_, Input<double> positions_, Input<double> cell_, std::array<bool, 3> periodic)
      : types(types_), positions(positions_), cell(cell_) {
    if (types.ndim() != 1) throw std::invalid_argument("types must have shape (n,)");
    if (positions.ndim() != 2 || positions.shape(0) != types.shape(0) || positions.shape(1) != 3)
      throw std::invalid_argument("positions must have shape (n, 3), n the number of types");
    if (cell.ndim() != 2 || cell.shape(0) != 3 || cell.shape(1) != 3)
      throw std::invalid_argument("cell must have shape (3, 3), one vector a row");
    system.atom_count = static_cast<int>(types.shape(0));
    system.types = types.data();
    system.positions = positions.data();
    std::copy(cell.data(), cell.data() + 9, system.cell.begin());
    system.periodic = periodic;
  }
};

// A potential ready to evaluate.
class Engine {
 public:
  explicit Engine(const Potential& potential) : model(trained(potential)) {
    if (potential.active_set) set_inverse(potential.active_set->inverse_transposed.data());
  }

  nb::dict evaluate(Input<int> types, Input<double> positions, Input<double> cell, std::array<bool, 3> periodic,
                    int threads) const {
    Structure structure(types, positions, cell, periodic);
    Evaluation result;
    {
      nb::gil_scoped_release release;
      result = mtpcore::evaluate(model, structure.system, threads);
    }
    const size_t n = result.site_energies.size();
    nb::list pairs;
    for (const ClosePair& pair : result.close_pairs) pairs.append(nb::make_tuple(pair.i, pair.j, pair.distance));
    nb::dict out;
    out["energy"] = result.energy;
    out["site_energies"] = own(std::move(result.site_energies), {n});
    out["forces"] = own(std::move(result.forces), {n, 3});
    out["virial"] = own(std::vector<double>(result.virial.begin(), result.virial.end()), {3, 3});
    out["close_pairs"] = pairs;
    return out;
  }

  Array<double> jacobian(Input<int> types, Input<double> positions, Input<double> cell, std::array<bool, 3> periodic,
                         int threads) const {
    Structure structure(types, positions, cell, periodic);
    std::vector<double> rows(types.shape(0) * size(model.parameter_count()));
    {
      nb::gil_scoped_release release;
      site_energy_jacobian(model, structure.system, threads, rows.data());
    }
    return own(std::move(rows), {types.shape(0), size(model.parameter_count())});
  }

  Array<double> grades(Input<int> types, Input<double> positions, Input<double> cell, std::array<bool, 3> periodic,
                       int threads) const {
    if (!table) throw std::invalid_argument("the potential has no active set: grades are not defined");
    Structure structure(types, positions, cell, periodic);
    std::vector<double> values(types.shape(0));
    {
      nb::gil_scoped_release release;
      neighborhood_grades(model, *table, structure.system, threads, values.data());
    }
    return own(std::move(values), {types.shape(0)});
  }

  Array<double> gradient(Input<int> types, Input<double> positions, Input<double> cell, std::array<bool, 3> periodic,
                         double energy_weight, Input<double> force_weights, Input<double> strain_weights,
                         int threads) const {
    Structure structure(types, positions, cell, periodic);
    if (force_weights.ndim() != 2 || force_weights.shape(0) != types.shape(0) || force_weights.shape(1) != 3)
      throw std::invalid_argument("force_weights must have shape (n, 3)");
    if (strain_weights.size() != 9) throw std::invalid_argument("strain_weights must have shape (3, 3)");
    std::array<double, 9> strain;
    std::copy(strain_weights.data(), strain_weights.data() + 9, strain.begin());
    std::vector<double> values(size(model.parameter_count()), 0.0);
    {
      nb::gil_scoped_release release;
      loss_gradient(model, structure.system, energy_weight, force_weights.data(), strain, threads, values.data());
    }
    return own(std::move(values), {size(model.parameter_count())});
  }

  void set_parameters(Input<double> parameters) {
    if (parameters.ndim() != 1 || parameters.shape(0) != size(model.parameter_count()))
      throw std::invalid_argument("parameters must have shape (" + std::to_string(model.parameter_count()) + ",)");
    model.set_parameters(parameters.data());
  }

  void set_inverse(const double* inverse_transposed) {
    table = std::make_unique<GradeTable>(model, inverse_transposed);
  }

  Model model;
  std::unique_ptr<GradeTable> table;

 private:
  static const Potential& trained(const Potential& potential) {
    if (!potential.trained) throw std::invalid_argument("the potential is an untrained template: it has no coefficients");
    return potential;
  }
};

// Structures for fitting, and the predictions of an engine for them.
class BoundDataset {
 public:
  explicit BoundDataset(double cutoff) : set(cutoff) {}

  nb::list add(Input<int> types, Input<double> positions, Input<double> cell, std::array<bool, 3> periodic,
               int species_count, double min_dist) {
    Structure structure(types, positions, cell, periodic);
    nb::list pairs;
    for (const ClosePair& pair : set.add(structure.system, species_count, min_dist))
      pairs.append(nb::make_tuple(pair.i, pair.j, pair.distance));
    return pairs;
  }

  nb::tuple predict(const Engine& engine, bool virial, int threads) const {
    Predictions out;
    {
      nb::gil_scoped_release release;
      out = set.predict(engine.model, virial, threads);
    }
    const size_t structures = out.energies.size(), atoms = out.forces.size() / 3;
    return nb::make_tuple(own(std::move(out.energies), {structures}), own(std::move(out.forces), {atoms, 3}),
                          own(std::move(out.virials), {structures, 3, 3}));
  }

  Array<double> gradient(const Engine& engine, Input<double> energy_weights, Input<double> force_weights,
                         Input<double> virial_weights, int threads) const {
    if (energy_weights.size() != size(set.structure_count()) || force_weights.size() != 3 * size(set.atom_count()) ||
        virial_weights.size() != 9 * size(set.structure_count()))
      throw std::invalid_argument("weights do not match the structures of the data set");
    std::vector<double> values;
    {
      nb::gil_scoped_release release;
      values = set.gradient(engine.model, energy_weights.data(), force_weights.data(), virial_weights.data(), threads);
    }
    const size_t n = values.size();
    return own(std::move(values), {n});
  }

  Array<double> normal_equations(const Engine& engine, Input<double> energy_factors, Input<double> energies,
                                 Input<double> force_factors, Input<double> forces,
                                 std::optional<Input<double>> virial_factors, std::optional<Input<double>> virials,
                                 bool linear_only, int threads) const {
    const size_t structures = size(set.structure_count());
    if (energy_factors.size() != structures || energies.size() != structures || force_factors.size() != structures ||
        forces.size() != 3 * size(set.atom_count()) || virial_factors.has_value() != virials.has_value() ||
        (virials && (virial_factors->size() != 6 * structures || virials->size() != 6 * structures)))
      throw std::invalid_argument("residuals do not match the structures of the data set");
    const Residuals residuals{energy_factors.data(),
                              energies.data(),
                              force_factors.data(),
                              forces.data(),
                              virials ? virial_factors->data() : nullptr,
                              virials ? virials->data() : nullptr};
    std::vector<double> values;
    {
      nb::gil_scoped_release release;
      values = set.normal_equations(engine.model, residuals, linear_only, threads);
    }
    const size_t n = size(engine.model.parameter_count() - (linear_only ? engine.model.radial_count() : 0)) + 1;
    return own(std::move(values), {n, n});
  }

  Dataset set;
};

// Tables (steps, workers) of where each entry was, of where a sum's last entry was, and of whether factors swap.
nb::tuple order_rows(Input<std::int64_t> first, Input<std::int64_t> second, Input<bool> ends, int group) {
  if (first.ndim() != 2 || second.size() != first.size() || ends.size() != first.size())
    throw std::invalid_argument("tables of products have one shape (steps, workers)");
  const ProductTable table{static_cast<int>(first.shape(0)), static_cast<int>(first.shape(1)), first.data(), second.data(),
                           ends.data()};
  std::vector<std::int32_t> from, ended;
  std::vector<std::uint8_t> swapped;
  {
    nb::gil_scoped_release release;
    for (const Arrival& entry : order_by_banks(table, group)) {
      from.push_back(entry.from);
      ended.push_back(entry.ended);
      swapped.push_back(entry.is_swapped);
    }
  }
  const std::initializer_list<size_t> shape = {first.shape(0), first.shape(1)};
  return nb::make_tuple(own(std::move(from), shape), own(std::move(ended), shape), own(std::move(swapped), shape));
}

void bind_potential(nb::module_& m) {
  nb::class_<ActiveSet> active_set(m, "ActiveSet", "MaxVol active set of an .almtp file.");
  bind_text(active_set, "configurations", &ActiveSet::configurations);
  active_set.def(nb::init<>())
      .def_rw("energy_weight", &ActiveSet::energy_weight)
      .def_rw("force_weight", &ActiveSet::force_weight)
      .def_rw("stress_weight", &ActiveSet::stress_weight)
      .def_rw("site_energy_weight", &ActiveSet::site_energy_weight, "1 in neighbourhood mode.")
      .def_rw("weight_scaling", &ActiveSet::weight_scaling)
      .def_prop_ro("neighborhood_mode", &ActiveSet::neighborhood_mode)
      .def_prop_rw(
          "matrix",
          [](const ActiveSet& s) { return copy(s.matrix, {s.configuration_index.size(), s.configuration_index.size()}); },
          [](ActiveSet& s, Input<double> v) { s.matrix = to_vector(v); }, "(n, n) rows of the active set.")
      .def_prop_rw(
          "inverse_transposed",
          [](const ActiveSet& s) {
            return copy(s.inverse_transposed, {s.configuration_index.size(), s.configuration_index.size()});
          },
          [](ActiveSet& s, Input<double> v) { s.inverse_transposed = to_vector(v); },
          "(n, n), [i, j] = inverse(matrix)[j, i].")
      .def_prop_rw(
          "configuration_index",
          [](const ActiveSet& s) { return copy(s.configuration_index, {s.configuration_index.size()}); },
          [](ActiveSet& s, Input<int> v) { s.configuration_index = to_vector(v); })
      .def_prop_rw(
          "equation_index", [](const ActiveSet& s) { return copy(s.equation_index, {s.equation_index.size()}); },
          [](ActiveSet& s, Input<int> v) { s.equation_index = to_vector(v); });

  nb::class_<Potential> potential(m, "Potential", "A moment tensor potential as data.");
  bind_text(potential, "name", &Potential::name);
  bind_text(potential, "tag", &Potential::tag);
  potential.def(nb::init<>())
      .def(nb::init<const Potential&>())
      .def_rw("scaling", &Potential::scaling)
      .def_rw("species_count", &Potential::species_count)
      .def_rw("min_dist", &Potential::min_dist)
      .def_rw("max_dist", &Potential::max_dist)
      .def_rw("radial_basis_size", &Potential::radial_basis_size)
      .def_rw("radial_funcs_count", &Potential::radial_funcs_count)
      .def_rw("species_labels", &Potential::species_labels)
      .def_rw("alpha_moments_count", &Potential::moments_count)
      .def_rw("trained", &Potential::trained)
      .def_rw("active_set", &Potential::active_set)
      .def_prop_ro("parameter_count", &Potential::parameter_count)
      .def_prop_rw(
          "alpha_index_basic", [](const Potential& p) { return copy_rows(p.index_basic); },
          [](Potential& p, Input<int> v) { p.index_basic = to_rows(v); })
      .def_prop_rw(
          "alpha_index_times", [](const Potential& p) { return copy_rows(p.index_times); },
          [](Potential& p, Input<int> v) { p.index_times = to_rows(v); })
      .def_prop_rw(
          "alpha_moment_mapping", [](const Potential& p) { return copy(p.moment_mapping, {p.moment_mapping.size()}); },
          [](Potential& p, Input<int> v) { p.moment_mapping = to_vector(v); })
      .def_prop_rw(
          "radial_coeffs",
          [](const Potential& p) {
            return copy(p.radial_coeffs, {size(p.species_count), size(p.species_count), size(p.radial_funcs_count),
                                          size(p.radial_basis_size)});
          },
          [](Potential& p, Input<double> v) { p.radial_coeffs = to_vector(v); })
      .def_prop_rw(
          "species_coeffs", [](const Potential& p) { return copy(p.species_coeffs, {p.species_coeffs.size()}); },
          [](Potential& p, Input<double> v) { p.species_coeffs = to_vector(v); })
      .def_prop_rw(
          "moment_coeffs", [](const Potential& p) { return copy(p.moment_coeffs, {p.moment_coeffs.size()}); },
          [](Potential& p, Input<double> v) { p.moment_coeffs = to_vector(v); })
      .def("validate", &mtpcore::validate, "Raises ValueError naming the first inconsistency.");
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "Compiled core of mtpcore.";
  // (path, line, expected, found) travels as the arguments of a ValueError; the Python layer gives it its type.
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const FormatError& e) {
      nb::object args = nb::make_tuple(e.path, e.line, e.expected, e.found);
      PyErr_SetObject(PyExc_ValueError, args.ptr());
    } catch (const SpeciesError& e) {
      PyErr_SetString(PyExc_LookupError, e.what());
    } catch (const StructureError& e) {
      PyErr_SetString(PyExc_ArithmeticError, e.what());
    }
  });
  bind_potential(m);
  m.def("read_potential", &read_potential, "path"_a, nb::call_guard<nb::gil_scoped_release>());
  m.def("write_potential", &write_potential, "path"_a, "potential"_a, nb::call_guard<nb::gil_scoped_release>());
  m.def("order_by_banks", &order_rows, "first"_a, "second"_a, "ends"_a, "group"_a);
  m.def("simd", &simd_name);
  m.def("simd_available", &simd_available);
  m.def("select_simd", &select_simd, "name"_a);

  nb::class_<BoundDataset>(m, "Dataset", "Structures whose neighbourhoods are found once.")
      .def(nb::init<double>(), "cutoff"_a)
      .def("add", &BoundDataset::add, "types"_a, "positions"_a, "cell"_a, "periodic"_a, "species_count"_a, "min_dist"_a)
      .def("predict", &BoundDataset::predict, "engine"_a, "virial"_a, "threads"_a)
      .def("gradient", &BoundDataset::gradient, "engine"_a, "energy_weights"_a, "force_weights"_a, "virial_weights"_a,
           "threads"_a)
      .def("normal_equations", &BoundDataset::normal_equations, "engine"_a, "energy_factors"_a, "energies"_a,
           "force_factors"_a, "forces"_a, "virial_factors"_a, "virials"_a, "linear_only"_a, "threads"_a)
      .def_prop_ro("structure_count", [](const BoundDataset& d) { return d.set.structure_count(); })
      .def_prop_ro("total_atom_count", [](const BoundDataset& d) { return d.set.atom_count(); })
      .def("atom_count", [](const BoundDataset& d, int c) { return d.set.atom_count(c); }, "structure"_a);

  nb::class_<Engine>(m, "Engine", "A potential ready to evaluate.")
      .def(nb::init<const Potential&>(), "potential"_a)
      .def("evaluate", &Engine::evaluate, "types"_a, "positions"_a, "cell"_a, "periodic"_a, "threads"_a)
      .def("jacobian", &Engine::jacobian, "types"_a, "positions"_a, "cell"_a, "periodic"_a, "threads"_a)
      .def("grades", &Engine::grades, "types"_a, "positions"_a, "cell"_a, "periodic"_a, "threads"_a)
      .def("loss_gradient", &Engine::gradient, "types"_a, "positions"_a, "cell"_a, "periodic"_a, "energy_weight"_a,
           "force_weights"_a, "strain_weights"_a, "threads"_a)
      .def("set_parameters", &Engine::set_parameters, "parameters"_a)
      .def(
          "set_inverse",
          [](Engine& e, Input<double> v) {
            if (v.size() != size(e.model.parameter_count()) * size(e.model.parameter_count()))
              throw std::invalid_argument("the inverse must have shape (n, n), n the number of parameters");
            e.set_inverse(v.data());
          },
          "inverse_transposed"_a)
      .def_prop_ro("parameter_count", [](const Engine& e) { return e.model.parameter_count(); })
      .def_prop_ro("species_count", [](const Engine& e) { return e.model.species_count; })
      .def_prop_ro("max_dist", [](const Engine& e) { return e.model.max_dist; })
      .def_prop_ro("product_count", [](const Engine& e) {
        return nb::make_tuple(e.model.inner.products.size(), e.model.leaf_energy.right.size(), e.model.moment_count);
      });
}
