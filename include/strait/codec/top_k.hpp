#pragma once
// The largest entries of every token: the codec topk.
//
// Of a token's activation x [hidden] the k entries of largest magnitude travel with their columns, in the
// order of columns; of equal magnitudes the lower column is kept. The others arrive as zeros. NaN counts as
// larger than every number, so that it arrives.
//
// Backward the same columns of dx travel: the derivative of what the forward did, and both ends know the
// columns already. A selection of dx of its own would be no derivative of anything, would cost the columns
// once more, and is what makes fine-tuning of language models diverge (arXiv 2401.07788, which compares; its
// remedy is the columns of the forward).

#include "strait/codec/wire.hpp"

namespace strait::codec {

struct TopKOptions {
  int k = 0;
  Wire wire = Wire::float32;
};

/// Where the parts of a forward message lie: whichever has the wider elements first, so that both are
/// aligned.
struct TopKLayout {
  TopKLayout(const TopKOptions& options, std::int64_t tokens, int hidden);

  std::int64_t values = 0;   ///< offset of [tokens, k] numbers
  std::int64_t columns = 0;  ///< offset of [tokens, k] columns of id_bytes(hidden) each
  std::int64_t bytes = 0;
};

/// Columns [tokens * k] of the k largest magnitudes of each row of x [tokens, hidden], ascending.
template <class T>
void select_top_k(const ExecutionSpace& exec, const MutableTokenIds& columns, ConstMatrix<T> x, int k);

/// values [tokens, k] = x [tokens, hidden] at `columns` [tokens * k].
template <class T>
void gather_columns(const ExecutionSpace& exec, const Matrix<T>& values, ConstMatrix<T> x,
                    const TokenIds& columns);

/// x [tokens, hidden] = `values` [tokens, k] at `columns` [tokens * k], zero elsewhere.
template <class T>
void scatter_columns(const ExecutionSpace& exec, const Matrix<T>& x, ConstMatrix<T> values,
                     const TokenIds& columns);

template <class T>
class TopKCodec : public Codec<T> {
 public:
  explicit TopKCodec(const TopKOptions& options) : options_(options) {}

  std::vector<Diagnostic> diagnostics() const override;
  MessageBounds bounds(const BoundaryShape& shape) const override;
  std::int64_t bytes_needed(Side, const BoundaryShape& shape, model::ParameterLayout&) const override;
  std::unique_ptr<Sender<T>> sender(const ExecutionSpace&, const BoundaryShape&) const override;
  std::unique_ptr<Receiver<T>> receiver(const ExecutionSpace&, const BoundaryShape&) const override;

 private:
  TopKOptions options_;
};

/// Reads the keys of codec topk for a model of width `hidden`.
template <class T>
TopKOptions top_k_from_deck(Table table, int hidden);

extern template class TopKCodec<float>;
extern template class TopKCodec<double>;

}  // namespace strait::codec
