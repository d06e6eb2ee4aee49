#include "strait/pipeline/tied_reduction.hpp"

#include "strait/kernels/elementwise.hpp"

namespace strait::pipeline {

template <class T>
TiedReduction<T>::TiedReduction(const ExecutionSpace& exec, Transport& transport, int peer,
                                const Matrix<T>& gradient)
    : exec_(exec),
      transport_(transport),
      envelope_{.channel = Channel::tied, .peer = peer},
      gradient_(gradient) {
  const auto bytes = static_cast<std::int64_t>(gradient.span() * sizeof(T));
  check_message_size(bytes);
  mine_.bytes = Vector<std::uint8_t>(reinterpret_cast<std::uint8_t*>(gradient.data()), bytes);
  mine_.size = bytes;
  theirs_.bytes = Vector<std::uint8_t>(
      Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::pipeline::tied_gradient"), bytes);
}

template <class T>
void TiedReduction<T>::begin() {
  receive_ = transport_.receive(envelope_, theirs_);
  sent_ = false;
}

template <class T>
bool TiedReduction<T>::advance() {
  if (!sent_) {
    send_ = transport_.send(envelope_, mine_);
    sent_ = true;
  }
  if (send_ && transport_.done(*send_)) send_.reset();
  if (receive_ && transport_.done(*receive_)) receive_.reset();
  if (send_ || receive_) return false;
  const Matrix<T> received(reinterpret_cast<T*>(theirs_.bytes.data()), gradient_.extent(0),
                           gradient_.extent(1));
  kernels::add<T>(exec_, gradient_, received);
  return true;
}

int tied_parameter(const model::ParameterLayout& layout, bool first) {
  const auto& entries = layout.entries();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (first ? entries[i].role == model::ParameterRole::embedding : entries[i].shared) {
      return static_cast<int>(i);
    }
  }
  ensure(false, "a stage with a tied table has it");
  return -1;
}

template <class T>
std::int64_t TiedReduction<T>::bytes_needed(const model::ParameterLayout& layout, bool first) {
  const std::int64_t bytes =
      layout.entries()[tied_parameter(layout, first)].size() * static_cast<std::int64_t>(sizeof(T));
  check_message_size(bytes);
  return bytes;
}

template class TiedReduction<float>;
template class TiedReduction<double>;

}  // namespace strait::pipeline
