/* -*- c++ -*- ----------------------------------------------------------
   pair_style mtp (GPL-2, see pair_mtp.h).
------------------------------------------------------------------------- */
#include "pair_mtp.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

using namespace LAMMPS_NS;

namespace {
constexpr int kChunk = 64;  // central atoms evaluated at a time: their neighbours stay in cache
}

PairMTP::PairMTP(LAMMPS *lmp) : Pair(lmp)
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  centroidstressflag = CENTROID_NOTAVAIL;
}

PairMTP::~PairMTP()
{
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
  }
}

void PairMTP::allocate()
{
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) setflag[i][j] = 0;
  allocated = 1;
}

/* pair_style mtp FILE [species E1 E2 ...] */

void PairMTP::settings(int narg, char **arg)
{
  if (narg < 1) utils::missing_cmd_args(FLERR, "pair_style mtp", error);
  if (strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, "Pair style mtp needs 'units metal' (eV and angstrom), not '{}'", update->unit_style);
  elements_.clear();
  for (int used = 1; used < narg;) {
    const int taken = read_option(narg - used, arg + used);
    if (taken == 0) error->all(FLERR, "Unknown keyword '{}' in the pair_style command", arg[used]);
    used += taken;
  }
  read_potential(arg[0]);
  if (!elements_.empty() && static_cast<int>(elements_.size()) != model_->species_count)
    error->all(FLERR, "Keyword species names {} elements, but {} holds {} species", elements_.size(), file_,
               model_->species_count);
}

int PairMTP::read_option(int narg, char **arg)
{
  if (strcmp(arg[0], "species") != 0) return 0;
  int n = 1;
  // Element names start with a capital letter, keywords do not.
  for (; n < narg && std::isupper(static_cast<unsigned char>(arg[n][0])); ++n) {
    if (std::find(elements_.begin(), elements_.end(), arg[n]) != elements_.end())
      error->all(FLERR, "Keyword species of pair style mtp names element {} twice", arg[n]);
    elements_.emplace_back(arg[n]);
  }
  if (n == 1) error->all(FLERR, "Keyword species of pair style mtp needs element names");
  return n;
}

/* One rank reads, all parse: a potential with its active set has some MB. */

void PairMTP::read_potential(const char *file)
{
  std::string content;
  bigint size = -1;
  file_ = file;
  if (comm->me == 0) {
    try {
      content = mtpcore::read_file(utils::get_potential_file_path(file).empty() ? file
                                                                                : utils::get_potential_file_path(file));
      size = static_cast<bigint>(content.size());
    } catch (const std::exception &) {
      size = -1;
    }
  }
  MPI_Bcast(&size, 1, MPI_LMP_BIGINT, 0, world);
  if (size < 0) error->all(FLERR, "Cannot open the potential file {}", file);
  if (size > MAXSMALLINT) error->all(FLERR, "The potential file {} is too large", file);
  content.resize(static_cast<size_t>(size));
  MPI_Bcast(&content[0], static_cast<int>(size), MPI_CHAR, 0, world);
  try {
    const mtpcore::Potential potential = mtpcore::parse_potential(file, content);
    if (!potential.trained)
      throw std::invalid_argument(std::string(file) + " is an untrained template: it has no coefficients");
    model_ = std::make_unique<mtpcore::Model>(potential);
    mtpcore::kernel();  // throws here, not in the middle of a run, if MTPCORE_SIMD names none
    use_potential(potential);
  } catch (const std::exception &fault) {
    error->all(FLERR, "Pair style mtp: {}", fault.what());
  }
}

void PairMTP::use_potential(const mtpcore::Potential &) {}

/* pair_coeff * * E1 E2 ...: one element (or NULL) per LAMMPS type */

void PairMTP::coeff(int narg, char **arg)
{
  if (!allocated) allocate();
  if (narg != 2 + atom->ntypes)
    error->all(FLERR, "pair_coeff of pair style mtp needs '* *' and {} elements, one per atom type", atom->ntypes);
  if (strcmp(arg[0], "*") != 0 || strcmp(arg[1], "*") != 0)
    error->all(FLERR, "pair_coeff of pair style mtp must start with '* *'");
  declare_elements(narg - 2, arg + 2);
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = 1; j <= atom->ntypes; ++j) {
      const bool used = species_of_type_[i] >= 0 && species_of_type_[j] >= 0;
      setflag[i][j] = used ? 1 : 0;
    }
}

/* Files hold no element names: without a declaration distinct elements take species 0, 1, 2... in order of
   appearance, and all of them must appear, or a wrong element would silently get another's coefficients. */

void PairMTP::declare_elements(int narg, char **arg)
{
  std::vector<std::string> known = elements_;
  species_of_type_.assign(static_cast<size_t>(narg) + 1, -1);
  for (int t = 0; t < narg; ++t) {
    if (strcmp(arg[t], "NULL") == 0) continue;
    auto found = std::find(known.begin(), known.end(), arg[t]);
    if (found == known.end()) {
      if (!elements_.empty())
        error->all(FLERR, "Element {} is not among the species declared by pair_style mtp", arg[t]);
      known.emplace_back(arg[t]);
      found = known.end() - 1;
    }
    species_of_type_[static_cast<size_t>(t) + 1] = static_cast<int>(found - known.begin());
  }
  if (static_cast<int>(known.size()) != model_->species_count)
    error->all(FLERR,
               "pair_coeff names {} different elements, but {} holds {} species: add 'species E1 E2 ...' to the "
               "pair_style command, the elements in the order of the file",
               known.size(), file_, model_->species_count);
  if (comm->me == 0 && elements_.empty()) {
    std::string text = "Pair style mtp: species of " + file_ + ":";
    for (size_t s = 0; s < known.size(); ++s) text += " " + std::to_string(s) + " = " + known[s];
    utils::logmesg(lmp, text + "\n");
  }
}

void PairMTP::init_style()
{
  if (force->newton_pair == 0) error->all(FLERR, "Pair style mtp needs 'newton on'");
  close_pairs_ = 0;
  neighbor->add_request(this, NeighConst::REQ_FULL);
}

double PairMTP::init_one(int i, int j)
{
  if (setflag[i][j] == 0) error->all(FLERR, "Not all pair coeffs of pair style mtp are set: types {} {}", i, j);
  return model_->max_dist;
}

void PairMTP::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  const bool rows = wants_rows();
  for (int begin = 0; begin < list->inum; begin += kChunk) {
    fill_chunk(begin, std::min(list->inum, begin + kChunk));
    mtpcore::Neighborhoods in;
    in.atom_count = static_cast<int>(chunk_.atoms.size());
    in.center_type = chunk_.center_type.data();
    in.start = chunk_.start.data();
    in.count = chunk_.count.data();
    in.dx = chunk_.dx.data();
    in.dy = chunk_.dy.data();
    in.dz = chunk_.dz.data();
    in.type = chunk_.type.data();
    chunk_.energy.resize(chunk_.atoms.size());
    if (rows) chunk_.rows.resize(chunk_.atoms.size() * model_->row_size());
    mtpcore::kernel().energy_gradient(*model_, workspace_, in, chunk_.energy.data(), chunk_.gx.data(),
                                      chunk_.gy.data(), chunk_.gz.data(), rows ? chunk_.rows.data() : nullptr);
    scatter_chunk();
    if (rows) take_rows(chunk_.atoms.data(), in, chunk_.rows.data());
  }
  if (vflag_fdotr) virial_fdotr_compute();
}

/* Neighbours within the cutoff, in the layout of the kernels. */

void PairMTP::fill_chunk(int begin, int end)
{
  Chunk &c = chunk_;
  size_t slots = 0;
  for (int ii = begin; ii < end; ++ii) slots += (list->numneigh[list->ilist[ii]] + 2 * mtpcore::kPad - 1) / mtpcore::kPad * mtpcore::kPad;
  if (c.dx.size() < slots) {
    for (auto *component : {&c.dx, &c.dy, &c.dz, &c.gx, &c.gy, &c.gz}) component->resize(slots + slots / 2);
    c.index.resize(c.dx.size());
    c.type.resize(c.dx.size());
  }
  c.atoms.clear();
  c.center_type.clear();
  c.start.clear();
  c.count.clear();

  const double cutoff = model_->max_dist, cut_squared = cutoff * cutoff;
  const double close_squared = model_->min_dist * model_->min_dist;
  const double *const *x = atom->x;
  const int *type = atom->type, *species = species_of_type_.data();
  double *dx = c.dx.data(), *dy = c.dy.data(), *dz = c.dz.data();
  int *index = c.index.data(), *neighbor_type = c.type.data();
  int n = 0;
  for (int ii = begin; ii < end; ++ii) {
    const int i = list->ilist[ii];
    if (species[type[i]] < 0) continue;
    const double xi = x[i][0], yi = x[i][1], zi = x[i][2];
    const int start = n;
    const int *neighbors = list->firstneigh[i];
    double nearest = cut_squared;
    for (int jj = 0; jj < list->numneigh[i]; ++jj) {
      const int j = neighbors[jj] & NEIGHMASK;
      const double rx = x[j][0] - xi, ry = x[j][1] - yi, rz = x[j][2] - zi;
      const double square = rx * rx + ry * ry + rz * rz;
      const int s = species[type[j]];
      // Written always, kept only when within the cutoff: no unpredictable branch.
      dx[n] = rx;
      dy[n] = ry;
      dz[n] = rz;
      index[n] = j;
      neighbor_type[n] = s;
      n += square < cut_squared && s >= 0;
      nearest = std::min(nearest, square);
    }
    if (nearest < close_squared)
      for (int k = start; k < n; ++k) {
        const double square = dx[k] * dx[k] + dy[k] * dy[k] + dz[k] * dz[k];
        if (square < close_squared) report_close_pair(i, index[k], square);
      }
    c.atoms.push_back(i);
    c.center_type.push_back(species[type[i]]);
    c.start.push_back(start);
    c.count.push_back(n - start);
    for (; n % mtpcore::kPad != 0; ++n) {
      dx[n] = cutoff;
      dy[n] = dz[n] = 0.0;
      neighbor_type[n] = 0;
      index[n] = -1;
    }
  }
}

void PairMTP::report_close_pair(int i, int j, double distance_squared)
{
  if (distance_squared < 1e-12)
    error->one(FLERR, "Atoms {} and {} coincide", std::min(atom->tag[i], atom->tag[j]),
               std::max(atom->tag[i], atom->tag[j]));
  if (close_pairs_++ == 0)
    error->warning(FLERR,
                   "Atoms {} and {} are {:.4f} angstrom apart, below min_dist {:.4f} of {}: the potential knows nothing "
                   "there (later pairs of this run on this rank are counted, not repeated)",
                   atom->tag[i], atom->tag[j], std::sqrt(distance_squared), model_->min_dist, file_);
}

void PairMTP::scatter_chunk()
{
  const Chunk &c = chunk_;
  double **f = atom->f;
  const bool tally = vflag_atom || (vflag_global && !vflag_fdotr);
  for (size_t a = 0; a < c.atoms.size(); ++a) {
    const int i = c.atoms[a];
    double fx = 0.0, fy = 0.0, fz = 0.0;
    for (int k = c.start[a]; k < c.start[a] + c.count[a]; ++k) {
      const int j = c.index[k];
      fx += c.gx[k];
      fy += c.gy[k];
      fz += c.gz[k];
      f[j][0] -= c.gx[k];
      f[j][1] -= c.gy[k];
      f[j][2] -= c.gz[k];
      if (tally) {
        const double r[3] = {c.dx[k], c.dy[k], c.dz[k]}, g[3] = {c.gx[k], c.gy[k], c.gz[k]};
        tally_virial(i, j, r, g);
      }
    }
    f[i][0] += fx;
    f[i][1] += fy;
    f[i][2] += fz;
    if (eflag_global) eng_vdwl += c.energy[a];
    if (eflag_atom) eatom[i] += c.energy[a];
  }
}

/* -dE_i/dr_ij r_ij, half to either atom. */

void PairMTP::tally_virial(int i, int j, const double *r, const double *g)
{
  static constexpr int kRow[6] = {0, 1, 2, 0, 0, 1}, kColumn[6] = {0, 1, 2, 1, 2, 2};
  for (int k = 0; k < 6; ++k) {
    const double v = -0.5 * (g[kRow[k]] * r[kColumn[k]] + g[kColumn[k]] * r[kRow[k]]);
    if (vflag_global && !vflag_fdotr) virial[k] += v;
    if (vflag_atom) {
      vatom[i][k] += 0.5 * v;
      vatom[j][k] += 0.5 * v;
    }
  }
}

void *PairMTP::extract(const char *name, int &dim)
{
  dim = 0;
  if (strcmp(name, "min_dist") == 0 && model_) return &model_->min_dist;
  return nullptr;
}

double PairMTP::memory_usage()
{
  const Chunk &c = chunk_;
  return static_cast<double>(sizeof(double) * (6 * c.dx.capacity() + c.rows.capacity() + workspace_.buffer.capacity()) +
                             2 * sizeof(int) * c.index.capacity());
}
