// The ranks that a launcher (mpirun, srun) started this program as.
//
// A launcher is seen by its environment: OMPI_COMM_WORLD_SIZE (Open MPI's mpirun) or PMIX_RANK (srun
// --mpi=pmix). Without one, and with a single rank, the program is alone and no library of a launcher is
// loaded. Otherwise the transport comes from libnormlab_mpi.so, which lies beside the program, in
// ../lib/normlab or in the folder NORMLAB_PLUGINS: the program itself depends on no MPI.
// Read first: communicator.h.
#pragma once

#include "engine/comm/communicator.h"

namespace engine {

/// How many ranks the environment speaks of; 1 without a launcher.
int launched_ranks();
/// Which of them this process is, by the environment alone: for what is said before they can talk.
int launched_rank();

/// This program's communicator; the first call joins the others. Error (said by one rank): no plug-in, ranks
/// of different builds, or several tasks of SLURM that cannot know each other.
Communicator& world();

/// This process's place among the ranks, once it has joined them; else null.
const Place* place_in_world();

/// The end of main(): an orderly one when `code` is what all ranks end with, else all are ended with it.
void leave_world(int code, bool together);

}  // namespace engine
