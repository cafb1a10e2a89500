/* -*- c++ -*- ----------------------------------------------------------
   pair_style mtp: moment tensor potentials in LAMMPS.
   This file includes LAMMPS headers; LAMMPS is distributed under the GNU General Public License v2, and so is this
   plug-in. The engine it calls (../cpp) is not derived from LAMMPS and is under the MIT license.
------------------------------------------------------------------------- */
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel.hpp"
#include "pair.h"

namespace LAMMPS_NS {

class PairMTP : public Pair {
 public:
  explicit PairMTP(class LAMMPS *lmp);
  ~PairMTP() override;

  void compute(int eflag, int vflag) override;
  void settings(int narg, char **arg) override;
  void coeff(int narg, char **arg) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void *extract(const char *name, int &dim) override;
  double memory_usage() override;

 protected:
  // Reads the arguments after the file name; returns the number used from arg[0] on.
  virtual int read_option(int narg, char **arg);
  // Takes what the style needs beyond the model from the potential.
  virtual void use_potential(const mtpcore::Potential &potential);
  // Hooks around the evaluation of a chunk of atoms.
  virtual bool wants_rows() { return false; }
  virtual void take_rows(const int * /*atoms*/, const mtpcore::Neighborhoods & /*in*/, const double * /*rows*/) {}

  std::vector<std::string> elements_;  // of the file's species, where declared
  std::unique_ptr<mtpcore::Model> model_;
  mtpcore::Workspace workspace_;
  std::vector<int> species_of_type_;  // per LAMMPS type, -1 = not treated by this style
  std::string file_;

 private:
  struct Chunk {
    std::vector<int> atoms, center_type, start, count, index, type;
    mtpcore::Aligned<double> dx, dy, dz, gx, gy, gz;
    std::vector<double> energy, rows;
  };

  void read_potential(const char *file);
  void declare_elements(int narg, char **arg);
  void fill_chunk(int begin, int end);
  void scatter_chunk();
  void tally_virial(int i, int j, const double *r, const double *g);
  void report_close_pair(int i, int j, double distance_squared);
  void allocate();

  Chunk chunk_;
  bigint close_pairs_ = 0;
};

}  // namespace LAMMPS_NS
