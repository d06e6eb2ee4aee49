#include "strait/io/tensor.hpp"
#include "strait/pipeline/stage_unit.hpp"

// What a stage of an asynchronous pipeline keeps in a checkpoint.

namespace strait::pipeline {

template <class T>
std::vector<typename StageUnit<T>::Pending> StageUnit<T>::pending(const AsynchronousRun& run) const {
  std::vector<Pending> all;
  const std::int64_t step = version() / run.rule.updates_per_step(index_);
  for (std::int64_t i = step * run.passes_per_step(index_); i < run.forwarded(index_, step); ++i) {
    const int slot = static_cast<int>(i % run.slots(index_));
    all.push_back({i * replicas_.size() + replicas_.own,
                   {.slot = slot, .ids = stage_->ids(slot), .x = stage_->output(slot)}});
  }
  return all;
}

namespace {

/// Whether the weights of the forwards in flight are kept, so that a restart can run them again.
bool forwards_again(const AsynchronousRun& run) { return run.rule.kind != WeightVersions::none; }

}  // namespace

template <class T>
void StageUnit<T>::save_in_flight(io::Group all, const AsynchronousRun& run) {
  io::Group group = all.create_group(std::to_string(replicas_.ranks[replicas_.own]));
  if (replicas_.own == 0) kept_->save(exec_, group.create_group("versions"));
  std::vector<codec::InFlight<T>> in_flight;
  for (const Pending& one : pending(run)) {
    const int slot = one.in_flight.slot;
    auto to = group.create_group(fmt::format("micro_batches/{}", one.micro_batch));
    io::write_tensor(to, "ids", exec_, stage_->ids(slot));
    if (!forwards_again(run)) {
      io::write_tensor(to, "kept", exec_, stage_->kept(slot));
    } else if (!is_first()) {
      io::write_tensor(to, "input", exec_, stage_->kept_input(slot));
    }
    in_flight.push_back(one.in_flight);
  }
  if (upstream_) upstream_->end().save_in_flight(exec_, group.create_group("receiver"), in_flight);
  if (downstream_) downstream_->end().save_in_flight(exec_, group.create_group("sender"), in_flight);
  if (upstream_) upstream_->save_messages(group.create_group("arrived"));
}

template <class T>
void StageUnit<T>::load_in_flight(const io::Group& all, const AsynchronousRun& run) {
  const io::Group group = all.group(std::to_string(replicas_.ranks[replicas_.own]));
  kept_->load(exec_, all.group(fmt::format("{}/versions", replicas_.ranks.front())));
  std::vector<codec::InFlight<T>> in_flight;
  for (const Pending& one : pending(run)) {
    const int slot = one.in_flight.slot;
    const auto from = group.group(fmt::format("micro_batches/{}", one.micro_batch));
    io::read_tensor(from, "ids", exec_, stage_->ids(slot));
    if (!forwards_again(run)) {
      io::read_tensor(from, "kept", exec_, stage_->kept(slot));
    } else {
      if (!is_first()) io::read_tensor(from, "input", exec_, stage_->input(slot));
      stage_->forward(slot, kept_->of(run.rule.forward(index_, one.micro_batch)));
    }
    in_flight.push_back(one.in_flight);
  }
  if (upstream_) upstream_->end().load_in_flight(exec_, group.group("receiver"), in_flight);
  if (downstream_) downstream_->end().load_in_flight(exec_, group.group("sender"), in_flight);
  if (upstream_) upstream_->load_messages(group.group("arrived"));
}

#define STRAIT_INSTANTIATE(T)                                                                               \
  template std::vector<typename StageUnit<T>::Pending> StageUnit<T>::pending(const AsynchronousRun&) const; \
  template void StageUnit<T>::save_in_flight(io::Group, const AsynchronousRun&);                            \
  template void StageUnit<T>::load_in_flight(const io::Group&, const AsynchronousRun&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::pipeline
