#pragma once
// What is lost between the ends of a boundary.

#include "strait/codec/codec.hpp"

namespace strait::codec {

/// The one number that codecs without a subspace measure of themselves.
inline Diagnostic reconstruction_diagnostic() {
  return {"reconstruction_error", "1", "|X - X'| / |X|, X the activation and X' what arrives"};
}

/// |x - found| / |x| of contiguous [tokens, hidden]; overwrites `found`. 0 where x is. Waits.
template <class T>
double reconstruction_error(const ExecutionSpace& exec, ConstMatrix<T> x, const Matrix<T>& found);

}  // namespace strait::codec
