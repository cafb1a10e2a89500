/* -*- c++ -*- ----------------------------------------------------------
   pair_style mtp/extrapolation (GPL-2, see pair_mtp.h).
------------------------------------------------------------------------- */
#pragma once

#include "pair_mtp.h"

namespace LAMMPS_NS {

class PairMTPExtrapolation : public PairMTP {
 public:
  explicit PairMTPExtrapolation(class LAMMPS *lmp);
  ~PairMTPExtrapolation() override;

  void compute(int eflag, int vflag) override;
  void settings(int narg, char **arg) override;
  void *extract(const char *name, int &dim) override;
  void *extract_peratom(const char *name, int &columns) override;
  double memory_usage() override;

 protected:
  int read_option(int narg, char **arg) override;
  void use_potential(const mtpcore::Potential &potential) override;
  bool wants_rows() override { return grading_; }
  void take_rows(const int *atoms, const mtpcore::Neighborhoods &in, const double *rows) override;

 private:
  // Rows of one centre species waiting for enough company to fill the grading kernel.
  struct Queue {
    std::vector<int> atoms;
    std::vector<double> rows;
  };

  void grade_queue(int species);
  void reduce_maximum();
  void write_snapshot();
  std::string snapshot_text();
  [[noreturn]] void stop_run();

  std::unique_ptr<mtpcore::GradeTable> table_;
  std::vector<Queue> queues_;
  std::vector<double> values_;
  std::vector<double> found_;  // what compute pair shows: largest grade, its atom, largest so far, step
  mtpcore::Workspace packing_;
  double *grades_ = nullptr;
  int capacity_ = 0;
  int flag_ = 0;        // set by fix pair when it wants grades
  bool grading_ = false;
  int every_ = 0;       // grade on our own every so many steps
  double select_ = -1.0, break_ = -1.0;
  std::string snapshot_file_;
};

}  // namespace LAMMPS_NS
