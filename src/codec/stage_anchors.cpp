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
Matrix<T> initial_token_table(const ExecutionSpace& exec, int vocab, int hidden, std::uint64_t seed) {
  model::ParameterLayout layout;
  layout.add(model::token_table_name, model::ParameterRole::embedding, vocab, hidden);
  const Matrix<T> table(Kokkos::view_alloc(exec, Kokkos::WithoutInitializing, "strait::codec::token_table"),
                        vocab, hidden);
  model::initialise<T>(exec, Vector<T>(table.data(), table.size()), layout, 1, seed);
  return table;
}

template <class T>
struct SubtractRow {
  Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> y;
  Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace> x, table;
  TokenIds ids;

  KOKKOS_INLINE_FUNCTION void operator()(const TeamMember& team) const {
    const int row = team.league_rank();
    T* const to = &y(row, 0);
    const T* const from = &x(row, 0);
    const T* const anchor = &table(ids(row), 0);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, static_cast<int>(x.extent(1))),
                         [=](int i) { to[i] = from[i] - anchor[i]; });
  }
};

int find(const model::ParameterLayout& layout, const std::string& name) {
  const auto& entries = layout.entries();
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& info) { return info.name == name; });
  return found == entries.end() ? -1 : static_cast<int>(found - entries.begin());
}

}  // namespace

template <class T>
StageAnchors<T>::StageAnchors(const ExecutionSpace& exec, const ProjectionOptions& options,
                              const BoundaryShape& shape, int stage)
    : exec_(exec),
      kind_(options.anchors),
      from_table_(options.anchors_from_table),
      stage_(stage),
      rank_(options.rank),
      hidden_(shape.hidden),
      vocab_(shape.vocab),
      seed_(shape.seed) {
  if (factorized()) {
    factor_ = Matrix<T>("strait::codec::anchor_factor", rank_, hidden_);
    kernels::fill_orthonormal<T>(exec, factor_, seed_, factor_streams + static_cast<std::uint64_t>(stage_));
  }
  if (kind_ == AnchorKind::fixed) table_ = initial_token_table<T>(exec, vocab_, hidden_, seed_);
}

template <class T>
std::string StageAnchors<T>::name() const {
  return fmt::format("anchors.{}.weight", stage_);
}

template <class T>
void StageAnchors<T>::add_parameters(model::ParameterLayout& layout) {
  if (!trained() || find(layout, name()) >= 0) return;
  layout.add(name(), model::ParameterRole::anchor, vocab_, factorized() ? rank_ : hidden_);
}

template <class T>
void StageAnchors<T>::lend(const model::ParameterLayout& layout, const Vector<T>& weights,
                           const Vector<T>& gradients) {
  if (!trained()) return;
  const int index = find(layout, name());
  ensure(index >= 0, "the stage has the anchors that its codec added");
  table_ = layout.view(weights, index);
  gradient_ = layout.view(gradients, index);
  if (from_table_) start_at_token_table();
}

/// E = T, or where factorised the closest that E P comes to T: E = T P^T.
template <class T>
void StageAnchors<T>::start_at_token_table() const {
  const auto tokens = initial_token_table<T>(exec_, vocab_, hidden_, seed_);
  if (factorized()) {
    kernels::matmul<T>(exec_, table_, tokens, factor_, {.b = kernels::Transpose::yes});
  } else {
    Kokkos::deep_copy(exec_, table_, tokens);
  }
}

template <class T>
void StageAnchors<T>::subtract(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x,
                               const TokenIds& ids) const {
  Kokkos::parallel_for("strait::codec::subtract_anchors",
                       TeamPolicy(exec, static_cast<int>(x.extent(0)), Kokkos::AUTO),
                       SubtractRow<T>{y, x, table_, ids});
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
std::int64_t StageAnchors<T>::state_bytes() const {
  const std::size_t own = factor_.size() + (trained() ? 0 : table_.size());
  return static_cast<std::int64_t>(own * sizeof(T));
}

template class StageAnchors<float>;
template class StageAnchors<double>;

}  // namespace strait::codec
