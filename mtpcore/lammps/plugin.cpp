/* -*- c++ -*- ----------------------------------------------------------
   Registers the pair styles with a running LAMMPS (GPL-2, see pair_mtp.h).
   The entry point and its structure are LAMMPS's plug-in interface (LAMMPS manual, "Writing plugins").
------------------------------------------------------------------------- */
#include <cstdio>

#include "lammps.h"
#include "pair_mtp_extrapolation.h"

using namespace LAMMPS_NS;

extern "C" int lammps_version(void *handle);
extern "C" int lammps_extract_setting(void *handle, const char *keyword);

namespace {

struct Plugin {
  const char *version, *style, *name, *info, *author;
  void *(*creator)(LAMMPS *);
  void *handle;
};

template <class Style> void *create(LAMMPS *lmp) { return static_cast<Pair *>(new Style(lmp)); }

// Classes of LAMMPS change their layout between releases and with the size of atom ids, so this code is right for the
// headers and settings it was built with and for no others. The C interface used for the check is stable.
bool fits(void *lmp)
{
  const int running = lammps_version(lmp);
  const int id_size = lammps_extract_setting(lmp, "tagint");
  if (running == MTPCORE_LAMMPS_VERSION && id_size == static_cast<int>(sizeof(tagint))) return true;
  if (lammps_extract_setting(lmp, "world_rank") == 0)
    fprintf(stderr,
            "mtpcore: the pair styles mtp and mtp/extrapolation were built for LAMMPS %d with %zu-byte atom ids and are "
            "not loaded into LAMMPS %d with %d-byte atom ids.\n"
            "         Rebuild them against its headers: python -m mtpcore.lammps build --lammps-include DIR%s\n",
            MTPCORE_LAMMPS_VERSION, sizeof(tagint), running, id_size, id_size == 8 ? " --bigbig" : "");
  return false;
}

}    // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  if (!fits(lmp)) return;
  Plugin plugin = {static_cast<LAMMPS *>(lmp)->version, "pair", "mtp", "Moment tensor potentials", "mtpcore",
                   &create<PairMTP>, handle};
  const auto register_plugin = reinterpret_cast<void (*)(Plugin *, void *)>(regfunc);
  register_plugin(&plugin, lmp);
  plugin.name = "mtp/extrapolation";
  plugin.info = "Moment tensor potentials with extrapolation grades";
  plugin.creator = &create<PairMTPExtrapolation>;
  register_plugin(&plugin, lmp);
}
