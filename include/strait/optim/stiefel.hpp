#pragma once
// Optimisers of projectors A [hidden, rank], most of them on the Stiefel manifold {A : A^T A = I}.

#include "strait/core/tensor.hpp"
#include "strait/io/hdf5.hpp"
#include "strait/kernels/msign.hpp"

#include <memory>
#include <string>
#include <vector>

namespace strait::optim {

/// Updates one or several projectors of equal shape in place: those of the boundaries that one rank owns.
template <class T>
class ProjectorOptimizer {
 public:
  virtual ~ProjectorOptimizer() = default;

  /// One step of every projector; gradients[i] belongs to projectors[i], both [hidden, rank]. Only the
  /// direction of a gradient counts, not its size. On the manifold the projectors stay orthonormal to
  /// rounding of float for learning rates up to 0.02, to about 1e-4 at 0.1.
  virtual void update(const ExecutionSpace& exec, const std::vector<Matrix<T>>& projectors,
                      const std::vector<Matrix<T>>& gradients, double learning_rate) = 0;

  /// The state of projector `index`, as `momentum` [hidden, rank].
  virtual void save(const ExecutionSpace& exec, int index, io::Group group) const = 0;
  virtual void load(const ExecutionSpace& exec, int index, const io::Group& group) = 0;
};

struct ProjectorOptimizerOptions {
  double momentum = 0.95;  ///< decay of the gradients' running mean, per step
  int iterations = 5;      ///< of Polar Express for a direction
  int dual_steps = 20;     ///< of manifold-muon
};

/// Steepest descent on the manifold under the spectral norm (arXiv 2606.05484): the gradients' running mean
/// is kept in the tangent space, its msign is the direction, one quintic step retracts.
inline constexpr const char* spel = "spel";
/// As `spel`, but the direction is the best tangent one, found by dual ascent (Bernstein, "Modular
/// manifolds", 2025).
inline constexpr const char* manifold_muon = "manifold-muon";
/// Muon without constraint: the projectors leave the manifold.
inline constexpr const char* unconstrained_muon = "unconstrained";

/// `name` is one of the three above; anything else is a programming error.
template <class T>
std::unique_ptr<ProjectorOptimizer<T>> make_projector_optimizer(const std::string& name, int count,
                                                                std::int64_t hidden, std::int64_t rank,
                                                                ProjectorOptimizerOptions options = {});

/// Memory of the optimiser that make_projector_optimizer would make.
template <class T>
std::int64_t projector_state_bytes(const std::string& name, int count, std::int64_t hidden,
                                   std::int64_t rank);

}  // namespace strait::optim
