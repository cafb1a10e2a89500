/* -*- c++ -*- ----------------------------------------------------------
   Registers the pair styles with a running LAMMPS (GPL-2, see pair_mtp.h).
   The entry point and its structure are LAMMPS's plug-in interface (LAMMPS manual, "Writing plugins").
------------------------------------------------------------------------- */
#include <cstdio>

#include "lammps.h"
#include "pair_mtp_extrapolation.h"

using namespace LAMMPS_NS;

extern "C" int lammps_version(void *handle);

namespace {

struct Plugin {
  const char *version, *style, *name, *info, *author;
  void *(*creator)(LAMMPS *);
  void *handle;
};

template <class Style> void *create(LAMMPS *lmp) { return static_cast<Pair *>(new Style(lmp)); }

}    // namespace

// Classes of LAMMPS change their layout between releases, so this code is right for the headers it was built with and
// for no others. The C interface used for the check is stable.
extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  const int running = lammps_version(lmp);
  if (running != MTPCORE_LAMMPS_VERSION) {
    fprintf(stderr,
            "mtpcore: the pair styles mtp and mtp/extrapolation were built for LAMMPS %d and are not loaded into LAMMPS "
            "%d.\n         Rebuild them against its headers: python -m mtpcore.lammps build --lammps-include DIR\n",
            MTPCORE_LAMMPS_VERSION, running);
    return;
  }
  Plugin plugin = {static_cast<LAMMPS *>(lmp)->version, "pair", "mtp", "Moment tensor potentials", "mtpcore",
                   &create<PairMTP>, handle};
  const auto register_plugin = reinterpret_cast<void (*)(Plugin *, void *)>(regfunc);
  register_plugin(&plugin, lmp);
  plugin.name = "mtp/extrapolation";
  plugin.info = "Moment tensor potentials with extrapolation grades";
  plugin.creator = &create<PairMTPExtrapolation>;
  register_plugin(&plugin, lmp);
}
