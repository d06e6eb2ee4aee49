#include "stage_anchors.hpp"

#include "strait/io/tensor.hpp"
#include "strait/kernels/matmul.hpp"
#include "strait/kernels/orthonormal.hpp"
#include "strait/model/initialisation.hpp"

#include <algorithm>

namespace strait::codec {
namespace {

/// Random streams of the frozen factors: one per stage.
constexpr std::uint64_t factor_streams = 0x616e63686f720000ull;

/// The token table that the run's model starts with.
template <class T>
Matrix<T> initial_token_table(const ExecutionSpace& exec, const BoundaryShape& shape) {
  model::ParameterLayout layout;
  layout.add(model::token_table_name, model::ParameterRole::embedding, shape.vocab, shape.hidden);
  const Matrix<T> table(Kokkos::view_alloc(exec, Kokkos::WithoutInitializing, "strait::codec::token_table"),
                        shape.vocab, shape.hidden);
  model::initialise<T>(exec, Vector<T>(table.data(), table.size()), layout, 1, shape.seed);
  return table;
}

int find(const model::ParameterLayout& layout, const std::string& name) {
  const auto& entries = layout.entries();
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& info) { return info.name == name; });
  return found == entries.end() ? -1 : static_cast<int>(found - entries.begin());
}

std::string anchors_name(int stage) { return fmt::format("anchors.{}.weight", stage); }

}  // namespace

void add_anchors(model::ParameterLayout& layout, const ProjectionOptions& options, const BoundaryShape& shape,
                 int stage) {
  const bool factorized = options.anchors == AnchorKind::factorized;
  const bool trained = factorized || options.anchors == AnchorKind::full;
  const std::string name = anchors_name(stage);
  if (!trained || find(layout, name) >= 0) return;
  layout.add(name, model::ParameterRole::anchor, shape.vocab, factorized ? options.rank : shape.hidden);
}

template <class T>
StageAnchors<T>::StageAnchors(const ExecutionSpace& exec, const ProjectionOptions& options,
                              const BoundaryShape& shape, int stage)
    : exec_(exec), options_(options), shape_(shape), stage_(stage) {
  if (factorized()) {
    factor_ = Matrix<T>("strait::codec::anchor_factor", options.rank, shape.hidden);
    kernels::fill_orthonormal<T>(exec, factor_, shape.seed,
                                 factor_streams + static_cast<std::uint64_t>(stage));
  }
  if (options.anchors == AnchorKind::fixed) table_ = initial_token_table<T>(exec, shape);
}

template <class T>
void StageAnchors<T>::lend(const model::ParameterLayout& layout, const Vector<T>& weights,
                           const Vector<T>& gradients) {
  if (!trained()) return;
  const int index = find(layout, anchors_name(stage_));
  ensure(index >= 0, "the stage has the anchors that its codec added");
  table_ = layout.view(weights, index);
  gradient_ = layout.view(gradients, index);
  offset_ = layout.entries()[index].offset;
  if (options_.anchors_from_table) start_at_token_table();
}

template <class T>
void StageAnchors<T>::use_weights(const model::Weights<T>& version) {
  if (!trained()) return;
  table_ = as_matrix(version.full, offset_ - version.first, table_.extent(0), table_.extent(1));
}

/// E = T, or where factorised the closest that E P comes to T: E = T P^T.
template <class T>
void StageAnchors<T>::start_at_token_table() const {
  const auto tokens = initial_token_table<T>(exec_, shape_);
  if (factorized()) {
    kernels::matmul<T>(exec_, table_, tokens, factor_, {.b = kernels::Transpose::yes});
  } else {
    Kokkos::deep_copy(exec_, table_, tokens);
  }
}

template <class T>
void StageAnchors<T>::save(const ExecutionSpace& exec, io::Group group) const {
  if (factorized()) io::write_tensor(group, "P", exec, factor_);
}

template <class T>
void StageAnchors<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  if (factorized()) io::read_tensor(group, "P", exec, factor_);
}

template <class T>
std::int64_t StageAnchors<T>::bytes_needed(const ProjectionOptions& options, const BoundaryShape& shape) {
  std::int64_t elements = 0;
  if (options.anchors == AnchorKind::factorized) elements = std::int64_t{options.rank} * shape.hidden;
  if (options.anchors == AnchorKind::fixed) elements = std::int64_t{shape.vocab} * shape.hidden;
  return elements * static_cast<std::int64_t>(sizeof(T));
}

template class StageAnchors<float>;
template class StageAnchors<double>;

}  // namespace strait::codec
