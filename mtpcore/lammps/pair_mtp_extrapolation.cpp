/* -*- c++ -*- ----------------------------------------------------------
   pair_style mtp/extrapolation (GPL-2, see pair_mtp.h): mtp with D-optimality grades of every neighbourhood.
   Forces come from the same calls with and without grading.
------------------------------------------------------------------------- */
#include "pair_mtp_extrapolation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "memory.h"
#include "update.h"
#include "utils.h"

using namespace LAMMPS_NS;

namespace {
constexpr size_t kQueue = 256;  // rows of one species graded at a time
enum { MAX_GRADE, MAX_ATOM, MAX_EVER, LAST_STEP, QUANTITIES };

struct SnapshotAtom {
  tagint tag;
  int species;
  double x[3], grade;
};
}    // namespace

PairMTPExtrapolation::PairMTPExtrapolation(LAMMPS *lmp) : PairMTP(lmp)
{
  found_.assign(QUANTITIES, 0.0);
  nextra = QUANTITIES;
  pvector = new double[QUANTITIES]();
}

PairMTPExtrapolation::~PairMTPExtrapolation()
{
  delete[] pvector;
  memory->destroy(grades_);
}

/* pair_style mtp/extrapolation FILE [species ...] [every N] [select GRADE FILE] [break GRADE] */

void PairMTPExtrapolation::settings(int narg, char **arg)
{
  every_ = 0;
  select_ = break_ = -1.0;
  snapshot_file_.clear();
  PairMTP::settings(narg, arg);
  if (every_ == 0 && (select_ >= 0.0 || break_ >= 0.0)) every_ = 10;
  if (select_ >= 0.0 && break_ >= 0.0 && break_ < select_)
    error->all(FLERR, "Pair style mtp/extrapolation: the break grade {} is below the select grade {}", break_, select_);
}

int PairMTPExtrapolation::read_option(int narg, char **arg)
{
  const auto grade = [&](const char *text) {
    const double value = utils::numeric(FLERR, text, false, lmp);
    if (value <= 0.0) error->all(FLERR, "Pair style mtp/extrapolation: a grade must be positive, not {}", text);
    return value;
  };
  if (strcmp(arg[0], "every") == 0) {
    if (narg < 2) utils::missing_cmd_args(FLERR, "pair_style mtp/extrapolation every", error);
    every_ = utils::inumeric(FLERR, arg[1], false, lmp);
    if (every_ < 1) error->all(FLERR, "Pair style mtp/extrapolation: 'every' must be at least 1, not {}", arg[1]);
    return 2;
  }
  if (strcmp(arg[0], "select") == 0) {
    if (narg < 3) utils::missing_cmd_args(FLERR, "pair_style mtp/extrapolation select", error);
    select_ = grade(arg[1]);
    snapshot_file_ = arg[2];
    return 3;
  }
  if (strcmp(arg[0], "break") == 0) {
    if (narg < 2) utils::missing_cmd_args(FLERR, "pair_style mtp/extrapolation break", error);
    break_ = grade(arg[1]);
    return 2;
  }
  return PairMTP::read_option(narg, arg);
}

void PairMTPExtrapolation::use_potential(const mtpcore::Potential &potential)
{
  if (!potential.active_set)
    throw std::invalid_argument(file_ + " holds no active set: pair style mtp/extrapolation needs an .almtp with one");
  if (!potential.active_set->neighborhood_mode())
    throw std::invalid_argument(file_ + " holds an active set of configurations: grades per atom need one of "
                                        "neighbourhoods (site_en_weight 1)");
  table_ = std::make_unique<mtpcore::GradeTable>(*model_, potential.active_set->inverse_transposed.data());
  queues_.assign(static_cast<size_t>(model_->species_count), {});
}

void PairMTPExtrapolation::compute(int eflag, int vflag)
{
  grading_ = flag_ != 0 || (every_ > 0 && update->ntimestep % every_ == 0);
  if (grading_ && atom->nmax > capacity_) {
    memory->destroy(grades_);
    capacity_ = atom->nmax;
    memory->create(grades_, capacity_, "pair:grades");
  }
  if (grading_)
    for (int i = 0; i < atom->nlocal; ++i) grades_[i] = 0.0;
  PairMTP::compute(eflag, vflag);
  if (!grading_) return;
  for (int species = 0; species < model_->species_count; ++species) grade_queue(species);
  reduce_maximum();
  if (select_ >= 0.0 && found_[MAX_GRADE] > select_) write_snapshot();
  if (break_ >= 0.0 && found_[MAX_GRADE] > break_) stop_run();
}

void PairMTPExtrapolation::take_rows(const int *atoms, const mtpcore::Neighborhoods &in, const double *rows)
{
  const size_t width = static_cast<size_t>(model_->row_size());
  for (int a = 0; a < in.atom_count; ++a) {
    Queue &queue = queues_[static_cast<size_t>(in.center_type[a])];
    queue.atoms.push_back(atoms[a]);
    queue.rows.insert(queue.rows.end(), rows + a * width, rows + (a + 1) * width);
    if (queue.atoms.size() == kQueue) grade_queue(in.center_type[a]);
  }
}

void PairMTPExtrapolation::grade_queue(int species)
{
  Queue &queue = queues_[static_cast<size_t>(species)];
  const size_t count = queue.atoms.size(), width = static_cast<size_t>(model_->row_size());
  std::vector<const double *> rows(count);
  for (size_t a = 0; a < count; ++a) rows[a] = &queue.rows[a * width];
  values_.resize(count);
  mtpcore::kernel().grades(*model_, *table_, packing_, species, static_cast<int>(count), rows.data(), values_.data());
  for (size_t a = 0; a < count; ++a) grades_[queue.atoms[a]] = values_[a];
  queue.atoms.clear();
  queue.rows.clear();
}

void PairMTPExtrapolation::reduce_maximum()
{
  struct {
    double grade;
    int rank;
  } local = {0.0, comm->me}, global;
  tagint worst = 0;
  for (int i = 0; i < atom->nlocal; ++i)
    // A grade that is not a number is a structure falling apart: it must not pass for a small one.
    if (!(grades_[i] <= local.grade)) {
      local.grade = std::isnan(grades_[i]) ? HUGE_VAL : grades_[i];
      worst = atom->tag ? atom->tag[i] : 0;
    }
  MPI_Allreduce(&local, &global, 1, MPI_DOUBLE_INT, MPI_MAXLOC, world);
  MPI_Bcast(&worst, 1, MPI_LMP_TAGINT, global.rank, world);
  found_[MAX_GRADE] = global.grade;
  found_[MAX_ATOM] = static_cast<double>(worst);
  found_[MAX_EVER] = std::max(found_[MAX_EVER], global.grade);
  found_[LAST_STEP] = static_cast<double>(update->ntimestep);
  // compute pair adds up what the ranks have.
  if (comm->me == 0) std::copy(found_.begin(), found_.end(), pvector);
}

void PairMTPExtrapolation::stop_run()
{
  error->all(FLERR,
             "Extrapolation grade {:.6g} of atom {} at step {} exceeds the break grade {:.6g}: the run stops{}",
             found_[MAX_GRADE], static_cast<bigint>(found_[MAX_ATOM]), update->ntimestep, break_,
             snapshot_file_.empty() ? "" : "; the snapshot is in " + snapshot_file_);
}

/* A snapshot in MLIP's .cfg format on rank 0, atoms in the order of their ids, grades of the neighbourhoods in the last
   column; atoms of other pair styles (NULL) are left out. */

std::string PairMTPExtrapolation::snapshot_text()
{
  std::vector<SnapshotAtom> atoms;
  for (int i = 0; i < atom->nlocal; ++i) {
    const int species = species_of_type_[atom->type[i]];
    const double *x = atom->x[i];
    if (species >= 0) atoms.push_back({atom->tag[i], species, {x[0], x[1], x[2]}, grades_[i]});
  }
  int size = static_cast<int>(atoms.size() * sizeof(SnapshotAtom));
  std::vector<int> sizes(comm->nprocs), offsets(comm->nprocs, 0);
  MPI_Gather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, 0, world);
  for (int r = 1; r < comm->nprocs; ++r) offsets[r] = offsets[r - 1] + sizes[r - 1];
  std::vector<SnapshotAtom> all(comm->me == 0 ? (offsets.back() + sizes.back()) / sizeof(SnapshotAtom) : 0);
  MPI_Gatherv(atoms.data(), size, MPI_BYTE, all.data(), sizes.data(), offsets.data(), MPI_BYTE, 0, world);
  std::sort(all.begin(), all.end(), [](const SnapshotAtom &a, const SnapshotAtom &b) { return a.tag < b.tag; });

  std::string text = fmt::format("BEGIN_CFG\n Size\n    {}\n", all.size());
  if (domain->xperiodic || domain->yperiodic || domain->zperiodic)
    text += fmt::format(" Supercell\n    {:.17g} 0 0\n    {:.17g} {:.17g} 0\n    {:.17g} {:.17g} {:.17g}\n", domain->xprd,
                        domain->xy, domain->yprd, domain->xz, domain->yz, domain->zprd);
  text += " AtomData:  id type cartes_x cartes_y cartes_z nbh_grades\n";
  for (size_t i = 0; i < all.size(); ++i)
    text += fmt::format("    {} {} {:.17g} {:.17g} {:.17g} {:.17g}\n", i + 1, all[i].species, all[i].x[0], all[i].x[1],
                        all[i].x[2], all[i].grade);
  text += fmt::format(" Feature   MV_grade {:.17g}\n Feature   timestep {}\nEND_CFG\n\n", found_[MAX_GRADE],
                      update->ntimestep);
  return text;
}

/* FILE with a '*' gets the step number there and appears by rename; without, snapshots are appended. */

void PairMTPExtrapolation::write_snapshot()
{
  const std::string text = snapshot_text();
  int failed = 0;
  if (comm->me == 0) {
    std::string path = snapshot_file_;
    const size_t star = path.find('*');
    const bool own_file = star != std::string::npos;
    if (own_file) path.replace(star, 1, std::to_string(update->ntimestep));
    const std::string target = own_file ? path + ".tmp" : path;
    FILE *file = fopen(target.c_str(), own_file ? "w" : "a");
    failed = file == nullptr || fwrite(text.data(), 1, text.size(), file) != text.size();
    if (file && fclose(file) != 0) failed = 1;
    if (!failed && own_file) failed = rename(target.c_str(), path.c_str()) != 0;
  }
  MPI_Bcast(&failed, 1, MPI_INT, 0, world);
  if (failed) error->all(FLERR, "Cannot write the snapshot {}", snapshot_file_);
}

void *PairMTPExtrapolation::extract(const char *name, int &dim)
{
  dim = 0;
  if (strcmp(name, "extrapolation_flag") == 0) return &flag_;
  return PairMTP::extract(name, dim);
}

void *PairMTPExtrapolation::extract_peratom(const char *name, int &columns)
{
  columns = 0;
  if (strcmp(name, "extrapolation") != 0) return nullptr;
  return grades_;
}

double PairMTPExtrapolation::memory_usage()
{
  double bytes = PairMTP::memory_usage() + static_cast<double>(capacity_) * sizeof(double);
  for (const Queue &queue : queues_) bytes += static_cast<double>(queue.rows.capacity() * sizeof(double));
  if (table_) bytes += static_cast<double>(table_->panels.capacity() * sizeof(double));
  return bytes;
}
