#pragma once
// The end at stage p: encodes activations, owns the projector.

#include "strait/optim/stiefel.hpp"

#include "gradient_link.hpp"
#include "projector_start.hpp"
#include "stage_anchors.hpp"
#include "versions.hpp"

namespace strait::codec {

template <class T>
class ProjectionSender : public Sender<T> {
 public:
  ProjectionSender(const ExecutionSpace& exec, const ProjectionOptions& options, const BoundaryShape& shape);

  void add_parameters(model::ParameterLayout& layout) override { anchors_.add_parameters(layout); }
  void lend(const model::ParameterLayout& layout, const Vector<T>& weights,
            const Vector<T>& gradients) override {
    anchors_.lend(layout, weights, gradients);
  }
  void use_weights(const model::Weights<T>& version) override { anchors_.use_weights(version); }
  bool synchronises(std::int64_t step) const override { return optimizer_ && (step + 1) % interval_ == 0; }

  void encode(const ExecutionSpace&, const Context&, ConstMatrix<T> x, Message&) override;
  void decode_gradient(const ExecutionSpace&, const Context&, const Message&, const Matrix<T>& dx) override;
  void receive_sync_up(const ExecutionSpace&, const Message&) override;
  void update(const ExecutionSpace&, const UpdateInfo&) override;
  void send_sync_down(const ExecutionSpace&, Message&) override;

  std::vector<Vector<T>> sums(const ExecutionSpace&) override;
  void clear_sums() override { accumulated_ = false; }
  static std::vector<std::int64_t> sums_needed(const ProjectionOptions& options, const BoundaryShape& shape);

  std::vector<double> diagnose(const ExecutionSpace&) override;
  std::int64_t state_bytes() const override;
  bool keeps_state() const override { return true; }
  static std::int64_t bytes_needed(const ProjectionOptions& options, const BoundaryShape& shape);
  void save(const ExecutionSpace&, io::Group) const override;
  bool load(const ExecutionSpace&, const io::Group&) override;
  void save_in_flight(const ExecutionSpace&, io::Group, const std::vector<InFlight<T>>&) const override;
  void load_in_flight(const ExecutionSpace&, const io::Group&, const std::vector<InFlight<T>>&) override;
  void save_anchors(const ExecutionSpace& exec, io::Group group) const override {
    anchors_.save(exec, group);
  }
  void load_anchors(const ExecutionSpace& exec, const io::Group& group) override;

  /// The codebooks, where activations and gradients travel as codewords.
  const std::optional<RvqEncoder<T>>& quantiser() const { return quantiser_; }
  const GradientDecoder<T>& gradients() const { return gradients_; }
  /// A [hidden, rank].
  ConstMatrix<T> projector() const { return versions_.current()->a; }
  /// dA [hidden, rank] since the last update, once after receive_sync_up: adds this half to the receiver's.
  Matrix<T> take_gradient(const ExecutionSpace&);

 private:
  /// A and what follows from it.
  struct Version {
    Matrix<T> a;        ///< [hidden, rank]
    Matrix<T> anchors;  ///< S = P A [rank, rank], where anchors are factorised
  };
  using Handle = typename Versions<Version>::Handle;

  /// What a micro-batch needs from encode to decode_gradient.
  struct Slot {
    Handle version;
    ConstMatrix<T> x;    ///< [tokens, hidden], the stage's
    Matrix<T> residual;  ///< Y = X - E[ids], where the table is wide
    Matrix<T> rows;      ///< E[ids] [tokens, rank], where factorised
    Matrix<T> left;      ///< what codewords leave of Z, summed over rounds, where they commit
  };

  /// What A multiplies.
  ConstMatrix<T> input(const Slot& slot) const { return anchors_.wide() ? slot.residual : slot.x; }
  bool commits() const { return options_.rvq && options_.rvq->commitment > 0.0; }
  Version empty_version() const;
  void derive(const ExecutionSpace&, const Version&) const;
  void accumulate(const ExecutionSpace&, const Slot&);
  void commit(const ExecutionSpace&, const Slot&);

  ProjectionOptions options_;
  BoundaryShape shape_;
  ProjectionLayout layout_;
  std::int64_t interval_;
  StageAnchors<T> anchors_;
  Versions<Version> versions_;
  std::vector<Slot> slots_;  ///< the last is for evaluation
  int newest_ = -1;          ///< slot of the micro-batch that was encoded last in training
  Matrix<T> z_;              ///< [tokens, rank], numbers of the message at hand
  Matrix<T> d_rows_;         ///< [tokens, rank]
  std::optional<RvqEncoder<T>> quantiser_;
  GradientDecoder<T> gradients_;

  // Of a projector that is updated.
  std::unique_ptr<optim::ProjectorOptimizer<T>> optimizer_;
  Matrix<T> gradient_;      ///< sum of X^T dZ (Y^T dZ where the table is wide) [hidden, rank]
  Matrix<T> row_gradient_;  ///< sum of E[ids]^T dZ [rank, rank]: dA has -P^T times it
  Matrix<T> other_half_;    ///< the receiver's [hidden, rank]
  bool accumulated_ = false;
};

extern template class ProjectionSender<float>;
extern template class ProjectionSender<double>;

}  // namespace strait::codec
