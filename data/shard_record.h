// The record of a set of shards, DIR/NAME.json, for those who read the set: are its shards all there, all of
// this set, and the ones that the record was written for? shard_set.h writes it; sets from elsewhere have
// none.
#pragma once

#include <string>
#include <vector>

#include "data/shards.h"

namespace data {

/// "train-00003.bin" -> "train"; empty for names that no set's shard has.
std::string set_of_shard(const std::string& file);

enum class SetPart { whole, one_shard };

/// `shards`, the open files of a folder, against the records of their sets: an Error for a shard that is
/// another one than the record names and, when they are whole sets, for one that is missing or foreign and
/// for a set that is not finished.
void check_records(const std::vector<ShardReader>& shards, SetPart part);

}  // namespace data
