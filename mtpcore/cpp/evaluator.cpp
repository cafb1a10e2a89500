#include "evaluator.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <thread>
#include <tuple>

namespace mtpcore {
namespace {

constexpr int kChunk = 64;  // atoms whose neighbours are held at a time

// Calls work(buffer, begin, end) for chunks of a thread's share.
template <class F>
void for_chunks(const CellList& cells, const System& system, double cutoff, int begin, int end, F&& work) {
  NeighborBuffer buffer(cutoff);
  for (int from = begin; from < end; from += kChunk) {
    const int to = std::min(end, from + kChunk);
    fill_neighbors(cells, system, from, to, buffer);
    work(buffer, from, to);
  }
}

struct Share {
  std::vector<double> forces;
  std::array<double, 9> virial{};
  std::vector<ClosePair> close_pairs;
};

}  // namespace

void fill_neighbors(const CellList& cells, const System& system, int begin, int end, NeighborBuffer& buffer) {
  buffer.clear();
  for (int i = begin; i < end; ++i) {
    buffer.begin_atom(system.types[i]);
    cells.visit(i, [&](int j, double dx, double dy, double dz) {
      if (dx * dx + dy * dy + dz * dz < 1e-12)
        throw StructureError("atoms " + std::to_string(std::min(i, j)) + " and " + std::to_string(std::max(i, j)) +
                             " coincide");
      buffer.push(j, system.types[j], dx, dy, dz);
    });
    buffer.end_atom();
  }
}

void collect_close_pairs(const NeighborBuffer& buffer, int first, double min_dist, std::vector<ClosePair>& pairs) {
  for (size_t a = 0; a < buffer.start.size(); ++a)
    for (int k = buffer.start[a]; k < buffer.start[a] + buffer.count[a]; ++k) {
      const size_t n = static_cast<size_t>(k);
      const double square = buffer.x[n] * buffer.x[n] + buffer.y[n] * buffer.y[n] + buffer.z[n] * buffer.z[n];
      const int i = first + static_cast<int>(a), j = buffer.index[n];
      if (square >= min_dist * min_dist || j < i) continue;
      // An atom sees its own images on both sides: each pair of sides counts once.
      if (j == i && std::tie(buffer.x[n], buffer.y[n], buffer.z[n]) < std::tuple(0.0, 0.0, 0.0)) continue;
      pairs.push_back({i, j, std::sqrt(square)});
    }
}

void scatter_forces(const NeighborBuffer& buffer, const double* const g[3], double* forces, double* virial, int first) {
  const double* r[3] = {buffer.x.data(), buffer.y.data(), buffer.z.data()};
  for (size_t a = 0; a < buffer.start.size(); ++a) {
    const int begin = buffer.start[a], end = begin + buffer.count[a];
    double sum[3] = {};  // not in forces, which the compiler must expect to overlap with g
    for (int k = begin; k < end; ++k) {
      double* neighbor = forces + 3 * static_cast<size_t>(buffer.index[static_cast<size_t>(k)]);
      const double gradient[3] = {g[0][k], g[1][k], g[2][k]};
      for (int x = 0; x < 3; ++x) {
        sum[x] += gradient[x];
        neighbor[x] -= gradient[x];
      }
    }
    for (int x = 0; x < 3; ++x) forces[3 * (static_cast<size_t>(first) + a) + x] += sum[x];
    if (!virial) continue;
    double moment[9] = {};
    for (int k = begin; k < end; ++k)
      for (int x = 0; x < 3; ++x)
        for (int y = 0; y < 3; ++y) moment[3 * x + y] += g[x][k] * r[y][k];
    for (int i = 0; i < 9; ++i) virial[i] -= moment[i];
  }
}

const double* RowMaker::rows(const Model& model, const NeighborBuffer& buffer) {
  const Neighborhoods in = buffer.view();
  rows_.resize(static_cast<size_t>(in.atom_count) * static_cast<size_t>(model.row_size()));
  energies_.resize(static_cast<size_t>(in.atom_count));
  for (auto& component : gradient_) component.resize(std::max(component.size(), buffer.slots()));
  kernel().energy_gradient(model, workspace_, in, energies_.data(), gradient_[0].data(), gradient_[1].data(),
                           gradient_[2].data(), rows_.data());
  return rows_.data();
}

void expand_row(const Model& model, int species, const double* compact, double* row) {
  std::fill(row, row + model.parameter_count(), 0.0);
  std::copy(compact, compact + model.row_block(), row + species * model.row_block());
  row[model.radial_count() + species] = 1.0;
  std::copy(compact + model.row_block(), compact + model.row_size(),
            row + model.radial_count() + model.species_count);
}

// sum_i w_i . F_i = -dE along displacements w; so the neighbour moves by -(w_j - w_i), plus the strain.
void VelocityMaker::make(const NeighborBuffer& buffer, int first, const double* force_weight,
                         const std::array<double, 9>& strain) {
  for (auto& component : velocity_) component.resize(buffer.slots());
  double* velocity[3] = {velocity_[0].data(), velocity_[1].data(), velocity_[2].data()};
  const double* r[3] = {buffer.x.data(), buffer.y.data(), buffer.z.data()};
  const int* index = buffer.index.data();
  const bool strained = std::any_of(strain.begin(), strain.end(), [](double s) { return s != 0.0; });
  for (size_t a = 0; a < buffer.start.size(); ++a) {
    const double* center = force_weight + 3 * (static_cast<size_t>(first) + a);
    const double own[3] = {center[0], center[1], center[2]};
    const int begin = buffer.start[a], end = begin + buffer.count[a];
    for (int n = begin; n < end; ++n) {
      const double* other = force_weight + 3 * static_cast<size_t>(index[n]);
      for (int x = 0; x < 3; ++x) velocity[x][n] = own[x] - other[x];
    }
    for (int n = end; n % kPad != 0; ++n)
      for (int x = 0; x < 3; ++x) velocity[x][n] = 0.0;
    if (!strained) continue;
    for (int n = begin; n < end; ++n)
      for (int x = 0; x < 3; ++x)
        for (int y = 0; y < 3; ++y) velocity[x][n] += strain[static_cast<size_t>(3 * x + y)] * r[y][n];
  }
}

void parallel_shares(int threads, int count, const std::function<void(int, int, int)>& work) {
  threads = std::clamp(threads, 1, std::max(1, count));
  const auto bound = [&](int t) { return static_cast<int>(static_cast<long long>(count) * t / threads); };
  if (threads == 1) return work(0, 0, count);
  std::vector<std::thread> pool;
  std::vector<std::exception_ptr> failure(static_cast<size_t>(threads));
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&, t] {
      try {
        work(t, bound(t), bound(t + 1));
      } catch (...) {
        failure[static_cast<size_t>(t)] = std::current_exception();
      }
    });
  for (auto& thread : pool) thread.join();
  for (const auto& caught : failure)
    if (caught) std::rethrow_exception(caught);
}

Evaluation evaluate(const Model& model, const System& system, int threads) {
  check_system(system, model.species_count);
  const CellList cells(system, model.max_dist);
  Evaluation result;
  result.site_energies.resize(static_cast<size_t>(system.atom_count));
  result.forces.resize(3 * static_cast<size_t>(system.atom_count));
  threads = std::clamp(threads, 1, std::max(1, system.atom_count / kChunk));
  std::vector<Share> shares(static_cast<size_t>(threads));
  const Kernel& k = kernel();
  parallel_shares(threads, system.atom_count, [&](int thread, int begin, int end) {
    Share& share = shares[static_cast<size_t>(thread)];
    share.forces.resize(result.forces.size());
    Workspace workspace;
    Aligned<double> gradient[3];
    for_chunks(cells, system, model.max_dist, begin, end, [&](const NeighborBuffer& buffer, int from, int) {
      collect_close_pairs(buffer, from, model.min_dist, share.close_pairs);
      for (auto& component : gradient) component.resize(std::max(component.size(), buffer.slots()));
      double* g[3] = {gradient[0].data(), gradient[1].data(), gradient[2].data()};
      k.energy_gradient(model, workspace, buffer.view(), &result.site_energies[static_cast<size_t>(from)], g[0], g[1],
                        g[2], nullptr);
      scatter_forces(buffer, g, share.forces.data(), share.virial.data(), from);
    });
  });
  for (const Share& share : shares) {
    for (size_t i = 0; i < result.forces.size(); ++i) result.forces[i] += share.forces[i];
    for (size_t i = 0; i < 9; ++i) result.virial[i] += share.virial[i];
    result.close_pairs.insert(result.close_pairs.end(), share.close_pairs.begin(), share.close_pairs.end());
  }
  for (double energy : result.site_energies) result.energy += energy;
  return result;
}

void site_energy_jacobian(const Model& model, const System& system, int threads, double* rows) {
  check_system(system, model.species_count);
  const CellList cells(system, model.max_dist);
  const size_t width = static_cast<size_t>(model.parameter_count());
  parallel_shares(threads, system.atom_count, [&](int, int begin, int end) {
    RowMaker maker;
    for_chunks(cells, system, model.max_dist, begin, end, [&](const NeighborBuffer& buffer, int from, int to) {
      const double* compact = maker.rows(model, buffer);
      for (int i = from; i < to; ++i) {
        const size_t at = static_cast<size_t>(i);
        expand_row(model, system.types[i], compact + (at - static_cast<size_t>(from)) * static_cast<size_t>(model.row_size()),
                   rows + at * width);
      }
    });
  });
}

void neighborhood_grades(const Model& model, const GradeTable& table, const System& system, int threads,
                         double* grades) {
  check_system(system, model.species_count);
  const CellList cells(system, model.max_dist);
  const Kernel& k = kernel();
  parallel_shares(threads, system.atom_count, [&](int, int begin, int end) {
    RowMaker maker;
    Workspace packing;
    std::vector<double> values;
    for_chunks(cells, system, model.max_dist, begin, end, [&](const NeighborBuffer& buffer, int from, int to) {
      const double* compact = maker.rows(model, buffer);
      for (int species = 0; species < model.species_count; ++species) {
        std::vector<const double*> rows;
        std::vector<int> atoms;
        for (int i = from; i < to; ++i)
          if (system.types[i] == species) {
            rows.push_back(&compact[static_cast<size_t>(i - from) * model.row_size()]);
            atoms.push_back(i);
          }
        values.resize(rows.size());
        k.grades(model, table, packing, species, static_cast<int>(rows.size()), rows.data(), values.data());
        for (size_t a = 0; a < atoms.size(); ++a) grades[atoms[a]] = values[a];
      }
    });
  });
}

void loss_gradient(const Model& model, const System& system, double energy_weight, const double* force_weight,
                   const std::array<double, 9>& strain_weight, int threads, double* gradient) {
  check_system(system, model.species_count);
  const CellList cells(system, model.max_dist);
  const size_t width = static_cast<size_t>(model.parameter_count());
  threads = std::clamp(threads, 1, std::max(1, system.atom_count));
  std::vector<std::vector<double>> partial(static_cast<size_t>(threads), std::vector<double>(width, 0.0));
  parallel_shares(threads, system.atom_count, [&](int thread, int begin, int end) {
    Workspace workspace;
    VelocityMaker maker;
    const std::vector<double> weights(kChunk, energy_weight);
    for_chunks(cells, system, model.max_dist, begin, end, [&](const NeighborBuffer& buffer, int from, int) {
      maker.make(buffer, from, force_weight, strain_weight);
      kernel().directional_gradient(model, workspace, buffer.view(), weights.data(), maker.x(), maker.y(), maker.z(),
                                    partial[static_cast<size_t>(thread)].data());
    });
  });
  for (const auto& share : partial)
    for (size_t i = 0; i < width; ++i) gradient[i] += share[i];
}

}  // namespace mtpcore
