#include "strait/optim/stiefel.hpp"

#include "strait/core/error.hpp"
#include "strait/io/tensor.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"

#include "muon_direction.hpp"

#include <cmath>

namespace strait::optim {
namespace {

/// What the three have in common: a running mean of the gradients and a direction from it.
template <class T>
class WithMomentum : public ProjectorOptimizer<T> {
 public:
  WithMomentum(int count, std::int64_t hidden, std::int64_t rank, ProjectorOptimizerOptions options)
      : options_(options), workspace_(hidden, rank), direction_("strait::stiefel::direction", hidden, rank) {
    for (int i = 0; i < count; ++i) momenta_.emplace_back("strait::stiefel::momentum", hidden, rank);
  }

  void update(const ExecutionSpace& exec, const std::vector<Matrix<T>>& projectors,
              const std::vector<Matrix<T>>& gradients, double learning_rate) override {
    const Region region("strait::optim::projector");
    ensure(projectors.size() == momenta_.size() && gradients.size() == momenta_.size(),
           "projector optimiser: another number of projectors than it was made for");
    for (std::size_t i = 0; i < momenta_.size(); ++i) {
      step(exec, projectors[i], momenta_[i], gradients[i], learning_rate);
    }
  }

  void save(const ExecutionSpace& exec, int index, io::Group group) const override {
    io::write_tensor(group, "momentum", exec, momenta_.at(index));
  }
  void load(const ExecutionSpace& exec, int index, const io::Group& group) override {
    io::read_tensor(group, "momentum", exec, momenta_.at(index));
  }

 protected:
  virtual void step(const ExecutionSpace& exec, const Matrix<T>& a, const Matrix<T>& momentum,
                    const Matrix<T>& gradient, double learning_rate) = 0;

  /// m <- P(beta m + (1 - beta) P(g)), P the projection to the tangent space at a.
  void average_in_tangent_space(const ExecutionSpace& exec, const Matrix<T>& a, const Matrix<T>& momentum,
                                const Matrix<T>& gradient) {
    const double beta = options_.momentum;
    kernels::copy<T>(exec, direction_, gradient);
    kernels::project_to_tangent<T>(exec, direction_, a, workspace_);
    kernels::combine<T>(exec, momentum, 1.0 - beta, direction_, beta, momentum);
    kernels::project_to_tangent<T>(exec, momentum, a, workspace_);
  }

  ProjectorOptimizerOptions options_;
  kernels::PolarWorkspace<T> workspace_;
  Matrix<T> direction_;  ///< of the step at hand

 private:
  std::vector<Matrix<T>> momenta_;
};

template <class T>
class Spel : public WithMomentum<T> {
 public:
  using WithMomentum<T>::WithMomentum;

 private:
  using WithMomentum<T>::direction_;
  using WithMomentum<T>::options_;
  using WithMomentum<T>::workspace_;

  void step(const ExecutionSpace& exec, const Matrix<T>& a, const Matrix<T>& momentum,
            const Matrix<T>& gradient, double learning_rate) override {
    this->average_in_tangent_space(exec, a, momentum, gradient);
    kernels::msign<T>(exec, direction_, momentum, workspace_, {.iterations = options_.iterations});
    kernels::combine<T>(exec, a, -learning_rate, direction_, 1.0, a);
    kernels::polar_retract<T>(exec, a, workspace_);
  }
};

/// maximises <G, B> over |B|_2 <= 1 with A^T B + B^T A = 0: B = msign(G + 2 A L), where the multipliers L [r,
/// r] follow the constraint's violation.
template <class T>
class ManifoldMuon : public WithMomentum<T> {
 public:
  ManifoldMuon(int count, std::int64_t hidden, std::int64_t rank, ProjectorOptimizerOptions options)
      : WithMomentum<T>(count, hidden, rank, options),
        gradient_("strait::stiefel::gradient", hidden, rank),
        shifted_("strait::stiefel::shifted", hidden, rank),
        multipliers_("strait::stiefel::multipliers", rank, rank),
        violation_("strait::stiefel::violation", rank, rank) {}

 private:
  using WithMomentum<T>::direction_;
  using WithMomentum<T>::options_;
  using WithMomentum<T>::workspace_;

  void step(const ExecutionSpace& exec, const Matrix<T>& a, const Matrix<T>& momentum,
            const Matrix<T>& gradient, double learning_rate) override {
    // For a tangent G the start -(A^T G + G^T A) / 4 of the multipliers is zero.
    this->average_in_tangent_space(exec, a, momentum, gradient);
    Kokkos::deep_copy(exec, multipliers_, T(0));
    // The multipliers' step is absolute: it needs a gradient of known size. At this one 20 steps leave 4 % of
    // the violation of msign(G) for random G.
    constexpr double mean_singular_value = 0.1, dual_rate = 0.01;
    const double size = mean_singular_value * std::sqrt(static_cast<double>(a.extent(1)));
    kernels::normalize<T>(exec, gradient_, momentum, size, workspace_);
    for (int k = 0; k < options_.dual_steps; ++k) {
      kernels::copy<T>(exec, shifted_, gradient_);
      kernels::matmul<T>(exec, shifted_, a, multipliers_, {.alpha = 2.0, .beta = 1.0});
      kernels::msign<T>(exec, direction_, shifted_, workspace_, {.iterations = options_.iterations});
      kernels::matmul<T>(exec, violation_, a, direction_, {.a = kernels::Transpose::yes, .alpha = 2.0});
      kernels::symmetrize<T>(exec, violation_);
      const double rate = dual_rate * (1.0 - static_cast<double>(k) / options_.dual_steps);
      kernels::combine<T>(exec, multipliers_, -rate, violation_, 1.0, multipliers_);
    }
    kernels::combine<T>(exec, a, -learning_rate, direction_, 1.0, a);
    kernels::polar_retract<T>(exec, a, workspace_);
  }

  Matrix<T> gradient_, shifted_;       ///< G, and G + 2 A L
  Matrix<T> multipliers_, violation_;  ///< L, and A^T B + B^T A
};

/// With Nesterov's look-ahead, as for the weights.
template <class T>
class UnconstrainedMuon : public WithMomentum<T> {
 public:
  using WithMomentum<T>::WithMomentum;

 private:
  using WithMomentum<T>::direction_;
  using WithMomentum<T>::options_;
  using WithMomentum<T>::workspace_;

  void step(const ExecutionSpace& exec, const Matrix<T>& a, const Matrix<T>& momentum,
            const Matrix<T>& gradient, double learning_rate) override {
    muon_direction<T>(exec, direction_, momentum, gradient, workspace_,
                      {.momentum = options_.momentum, .iterations = options_.iterations});
    kernels::combine<T>(exec, a, -learning_rate, direction_, 1.0, a);
  }
};

}  // namespace

template <class T>
std::unique_ptr<ProjectorOptimizer<T>> make_projector_optimizer(const std::string& name, int count,
                                                                std::int64_t hidden, std::int64_t rank,
                                                                ProjectorOptimizerOptions options) {
  ensure(options.iterations >= 1 && options.dual_steps >= 1 && hidden >= rank && rank >= 1,
         "projector optimiser: impossible options");
  if (name == spel) return std::make_unique<Spel<T>>(count, hidden, rank, options);
  if (name == manifold_muon) return std::make_unique<ManifoldMuon<T>>(count, hidden, rank, options);
  ensure(name == unconstrained_muon, "a projector optimiser that the deck would have refused");
  return std::make_unique<UnconstrainedMuon<T>>(count, hidden, rank, options);
}

template <class T>
std::int64_t projector_state_bytes(const std::string& name, int count, std::int64_t hidden,
                                   std::int64_t rank) {
  const std::int64_t matrices = count + (name == manifold_muon ? 3 : 1);  // momenta, direction, G, G + 2 A L
  const std::int64_t squares = name == manifold_muon ? 2 : 0;             // L, A^T B + B^T A
  return (matrices * hidden + squares * rank) * rank * static_cast<std::int64_t>(sizeof(T)) +
         kernels::PolarWorkspace<T>::bytes_needed(hidden, rank);
}

template std::int64_t projector_state_bytes<float>(const std::string&, int, std::int64_t, std::int64_t);
template std::int64_t projector_state_bytes<double>(const std::string&, int, std::int64_t, std::int64_t);

template std::unique_ptr<ProjectorOptimizer<float>> make_projector_optimizer(const std::string&, int,
                                                                             std::int64_t, std::int64_t,
                                                                             ProjectorOptimizerOptions);
template std::unique_ptr<ProjectorOptimizer<double>> make_projector_optimizer(const std::string&, int,
                                                                              std::int64_t, std::int64_t,
                                                                              ProjectorOptimizerOptions);

}  // namespace strait::optim
