#include "strait/pipeline/stage_unit.hpp"

#include <algorithm>

// What the replicas of a stage add up, and when.

namespace strait::pipeline {

/// Gradients by parts, then what the codec's ends sum.
template <class T>
void StageUnit<T>::make_sums(Transport& transport) {
  const auto add = [&](const Vector<T>& vector) {
    const int number = static_cast<int>(sums_.size());
    sums_.push_back(std::make_unique<ReplicaSum<T>>(exec_, transport, replicas_, index_, number, vector));
  };
  parts_ = gradient_parts(stage_->layout(), stage_->span());
  for (const GradientPart& part : parts_) {
    add(Vector<T>(stage_->gradients().data() + part.begin, part.end - part.begin));
  }
  for (codec::End<T>* end : ends()) {
    for (const Vector<T>& sum : end->sums(exec_)) add(sum);
    end->clear_sums();
  }
}

template <class T>
std::vector<codec::End<T>*> StageUnit<T>::ends() {
  std::vector<codec::End<T>*> all;
  if (upstream_) all.push_back(&upstream_->end());
  if (downstream_) all.push_back(&downstream_->end());
  return all;
}

template <class T>
void StageUnit<T>::begin_all_reduce() {
  begun_ = true;
  adding_up_ = false;
  for (const auto& sum : sums_) sum->begin();
}

template <class T>
void StageUnit<T>::layer_done(int layer) {
  if (!begun_) return;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i].layer >= std::max(layer, 0)) sums_[i]->start();
  }
  for (const auto& sum : sums_) sum->advance();
}

template <class T>
bool StageUnit<T>::all_reduce() {
  if (!adding_up_) {
    for (codec::End<T>* end : ends()) end->sums(exec_);  // zeros where this replica had nothing to add
    for (const auto& sum : sums_) sum->start();
    begun_ = false;
    adding_up_ = true;
  }
  bool all = true;
  for (const auto& sum : sums_) all = sum->advance() && all;
  return all;
}

template <class T>
void StageUnit<T>::share_out_sums(const std::optional<codec::UpdateInfo>& update) {
  if (replicas_.size() == 1) return;
  for (codec::End<T>* end : ends()) {
    const bool used = update && update->ends_step && end->synchronises(update->step);
    if (used || replicas_.own > 0) end->clear_sums();
  }
}

#define STRAIT_INSTANTIATE(T)                                \
  template void StageUnit<T>::make_sums(Transport&);         \
  template std::vector<codec::End<T>*> StageUnit<T>::ends(); \
  template void StageUnit<T>::begin_all_reduce();            \
  template void StageUnit<T>::layer_done(int);               \
  template bool StageUnit<T>::all_reduce();                  \
  template void StageUnit<T>::share_out_sums(const std::optional<codec::UpdateInfo>&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::pipeline
