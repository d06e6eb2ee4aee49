#include "stage_subspace.hpp"

#include "strait/io/tensor.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"
#include "strait/kernels/orthonormal.hpp"
#include "strait/model/initialisation.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace strait::codec {
namespace {

using kernels::matmul;
using kernels::Transpose;
using model::Confinement;

// Random streams of U and F.
constexpr std::uint64_t basis_stream = 0x73756273706163ull;
constexpr std::uint64_t table_stream = 0x66726f7a656e74ull;

/// Rounding leaves a confined tensor further from its subspace than nothing, but never as far, of its norm.
constexpr double stray = 1e-5;

/// Of the confined parameters.
std::int64_t most_vectors(const model::ParameterLayout& layout) {
  std::int64_t most = 0;
  for (const model::ParameterInfo& info : layout.entries()) {
    if (info.confinement == Confinement::none) continue;
    most = std::max(most, info.confinement == Confinement::rows ? info.rows : info.columns);
  }
  return most;
}

}  // namespace

template <class T>
StageSubspace<T>::StageSubspace(const ExecutionSpace& exec, const SubspaceOptions& options,
                                const BoundaryShape& shape)
    : exec_(exec),
      options_(options),
      hidden_(shape.hidden),
      vocab_(shape.vocab),
      seed_(shape.seed),
      basis_("strait::codec::basis", shape.hidden, options.rank) {
  if (options.grassmann_interval > 0) {
    next_ = Matrix<T>("strait::codec::next_basis", shape.hidden, options.rank);
  }
  kernels::fill_orthonormal<T>(exec, basis_, seed_, basis_stream);
}

template <class T>
const Matrix<T>& StageSubspace<T>::table() {
  if (table_.size() == 0) {
    table_ = Matrix<T>(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::codec::frozen_table"), vocab_,
                       hidden_);
    kernels::fill_normal<T>(exec_, Vector<T>(table_.data(), table_.size()), options_.table_deviation, seed_,
                            table_stream);
  }
  return table_;
}

template <class T>
void StageSubspace<T>::confine(model::ParameterLayout& layout) {
  for (int i = 0; i < static_cast<int>(layout.entries().size()); ++i) {
    const model::ParameterInfo& info = layout.entries()[i];
    if (model::writes_residual_stream(info.name)) layout.confine(i, Confinement::columns);
    if (info.role == model::ParameterRole::embedding) layout.confine(i, Confinement::rows);
  }
}

template <class T>
void StageSubspace<T>::lend(const model::ParameterLayout& layout, const Vector<T>& weights,
                            const Vector<T>& gradients) {
  table();
  confined_.clear();
  for (int i = 0; i < static_cast<int>(layout.entries().size()); ++i) {
    const model::ParameterInfo& info = layout.entries()[i];
    if (info.confinement == Confinement::none) continue;
    const bool is_table = info.role == model::ParameterRole::embedding;
    confined_.push_back(
        {info.name, info.confinement, is_table, layout.view(weights, i), layout.view(gradients, i)});
  }
  const std::int64_t most = most_vectors(layout);
  if (most > 0) coordinates_ = Vector<T>("strait::codec::coordinates", most * options_.rank);
  for (const Confined& confined : confined_) {
    project(exec_, confined.weight, confined.confinement);
    if (confined.has_origin) kernels::add<T>(exec_, confined.weight, table_);
  }
}

/// m <- m U U^T, or U U^T m.
template <class T>
void StageSubspace<T>::project(const ExecutionSpace& exec, const Matrix<T>& m,
                               Confinement confinement) const {
  const std::int64_t rank = options_.rank;
  if (confinement == Confinement::rows) {
    const auto coordinates = as_matrix(coordinates_, 0, m.extent(0), rank);
    matmul<T>(exec, coordinates, m, basis_);
    matmul<T>(exec, m, coordinates, basis_, {.b = Transpose::yes});
  } else {
    const auto coordinates = as_matrix(coordinates_, 0, rank, m.extent(1));
    matmul<T>(exec, coordinates, basis_, m, {.a = Transpose::yes});
    matmul<T>(exec, m, basis_, coordinates);
  }
}

template <class T>
void StageSubspace<T>::project_weight(const ExecutionSpace& exec, const Confined& confined) const {
  if (confined.has_origin) kernels::combine<T>(exec, confined.weight, 1.0, confined.weight, -1.0, table_);
  project(exec, confined.weight, confined.confinement);
  if (confined.has_origin) kernels::add<T>(exec, confined.weight, table_);
}

template <class T>
void StageSubspace<T>::project_gradients(const ExecutionSpace& exec) const {
  for (const Confined& confined : confined_) project(exec, confined.gradient, confined.confinement);
}

template <class T>
const Matrix<T>& StageSubspace<T>::prepare_next() {
  has_next_ = true;
  return next_;
}

template <class T>
void StageSubspace<T>::update(const ExecutionSpace& exec) {
  changed_ = std::exchange(has_next_, false);
  if (changed_) std::swap(basis_, next_);
  for (const Confined& confined : confined_) project_weight(exec, confined);
}

template <class T>
void StageSubspace<T>::save(const ExecutionSpace& exec, io::Group group) const {
  io::write_tensor(group, "U", exec, basis_);
  group.set_attribute("table_seed", static_cast<std::int64_t>(seed_));
  group.set_attribute("table_deviation", options_.table_deviation);
}

template <class T>
void StageSubspace<T>::load(const ExecutionSpace& exec, const std::vector<io::Group>& boundaries,
                            std::vector<std::string>& notes) {
  const auto own = std::find_if(boundaries.begin(), boundaries.end(),
                                [](const io::Group& group) { return group.has("U"); });
  if (own != boundaries.end()) {
    io::read_tensor(*own, "U", exec, basis_);
    const auto seed = static_cast<std::uint64_t>(own->template attribute<std::int64_t>("table_seed"));
    const double deviation = own->template attribute<double>("table_deviation");
    const bool other_table = seed != seed_ || deviation != options_.table_deviation;
    seed_ = seed;
    options_.table_deviation = deviation;
    if (other_table && table_.size() > 0) {
      table_ = Matrix<T>();
      table();
    }
  }
  project_strays(exec, notes);
}

/// Of the norm of a confined tensor, what lies outside its subspace.
template <class T>
double StageSubspace<T>::distance(const ExecutionSpace& exec, const Confined& confined) const {
  const Matrix<T>& weight = confined.weight;
  const Matrix<T> copy("strait::codec::projected_copy", weight.extent(0), weight.extent(1));
  kernels::copy<T>(exec, copy, weight);
  project_weight(exec, {confined.name, confined.confinement, confined.has_origin, copy, {}});
  kernels::combine<T>(exec, copy, 1.0, copy, -1.0, weight);
  const double whole = kernels::sum_of_squares<T>(exec, weight);
  return whole > 0.0 ? std::sqrt(kernels::sum_of_squares<T>(exec, copy) / whole) : 0.0;
}

template <class T>
void StageSubspace<T>::project_strays(const ExecutionSpace& exec, std::vector<std::string>& notes) const {
  std::vector<std::string> names;
  double furthest = 0.0;
  for (const Confined& confined : confined_) {
    const double share = distance(exec, confined);
    if (share <= stray) continue;
    furthest = std::max(furthest, share);
    names.push_back(confined.name);
    project_weight(exec, confined);
  }
  if (names.empty()) return;
  notes.push_back(
      fmt::format("codec ssn confines {} parameters that were not in its subspace, from {} to {}: "
                  "they are projected, which takes up to {:.0f} % of the norm of one",
                  names.size(), names.front(), names.back(), 100.0 * furthest));
}

template <class T>
std::int64_t StageSubspace<T>::state_bytes() const {
  return static_cast<std::int64_t>((basis_.size() + next_.size() + table_.size() + coordinates_.size()) *
                                   sizeof(T));
}

template <class T>
std::int64_t StageSubspace<T>::bytes_needed(const SubspaceOptions& options, const BoundaryShape& shape,
                                            const model::ParameterLayout& layout) {
  const std::int64_t bases = options.grassmann_interval > 0 ? 2 : 1;
  const std::int64_t elements = bases * shape.hidden * options.rank +
                                std::int64_t{shape.vocab} * shape.hidden +
                                most_vectors(layout) * options.rank;
  return elements * static_cast<std::int64_t>(sizeof(T));
}

template class StageSubspace<float>;
template class StageSubspace<double>;

}  // namespace strait::codec
