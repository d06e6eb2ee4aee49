#pragma once
// The end at stage p + 1: decodes activations, follows the sender's projector.

#include "gradient_link.hpp"
#include "projector_start.hpp"
#include "stage_anchors.hpp"
#include "versions.hpp"

namespace strait::codec {

template <class T>
class ProjectionReceiver : public Receiver<T> {
 public:
  ProjectionReceiver(const ExecutionSpace& exec, const ProjectionOptions& options,
                     const BoundaryShape& shape);

  void add_parameters(model::ParameterLayout& layout) override { anchors_.add_parameters(layout); }
  void lend(const model::ParameterLayout& layout, const Vector<T>& weights,
            const Vector<T>& gradients) override {
    anchors_.lend(layout, weights, gradients);
  }
  void use_weights(const model::Weights<T>& version) override { anchors_.use_weights(version); }
  bool synchronises(std::int64_t step) const override { return learns() && (step + 1) % interval_ == 0; }

  void decode(const ExecutionSpace&, const Context&, const Message&, const Matrix<T>& x) override;
  void encode_gradient(const ExecutionSpace&, const Context&, ConstMatrix<T> dx, Message&) override;
  void update(const ExecutionSpace& exec, const UpdateInfo& info) override {
    if (info.ends_step) gradients_.update(exec);
  }
  void send_sync_up(const ExecutionSpace&, Message&) override;
  void receive_sync_down(const ExecutionSpace&, const Message&) override;
  std::vector<Vector<T>> sums(const ExecutionSpace&) override;
  void clear_sums() override { accumulated_ = false; }
  static std::vector<std::int64_t> sums_needed(const ProjectionOptions& options, const BoundaryShape& shape);

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
  const std::optional<RvqDecoder<T>>& quantiser() const { return quantiser_; }
  const GradientEncoder<T>& gradients() const { return gradients_; }
  /// A^T [rank, hidden].
  ConstMatrix<T> projector_transposed() const { return rows(versions_.current()->decoder, 0, options_.rank); }

 private:
  /// [A^T; P] [2 rank, hidden] where anchors are factorised, else A^T [rank, hidden].
  struct Version {
    Matrix<T> decoder;
  };
  using Handle = typename Versions<Version>::Handle;

  struct Slot {
    Handle version;
    Matrix<T> code;  ///< [Z | E[ids]] [tokens, 2 rank] where factorised, else Z; Z as it arrived
  };

  bool learns() const { return !options_.rule.empty(); }
  int width() const { return anchors_.factorized() ? 2 * options_.rank : options_.rank; }
  Matrix<T> numbers(const Matrix<T>& code) const { return columns(code, 0, options_.rank); }
  Matrix<T> anchor_rows(const Matrix<T>& code) const { return columns(code, options_.rank, width()); }
  Version empty_version() const;
  Matrix<T> transposed(const Version& version) const { return rows(version.decoder, 0, options_.rank); }
  void add_factor(const ExecutionSpace&, const Version&) const;
  void set_projector(const ExecutionSpace&, const Matrix<T>& a);

  ProjectionOptions options_;
  BoundaryShape shape_;
  ProjectionLayout layout_;
  std::int64_t interval_;
  StageAnchors<T> anchors_;
  Versions<Version> versions_;
  std::vector<Slot> slots_;  ///< the last is for evaluation
  std::optional<RvqDecoder<T>> quantiser_;
  GradientEncoder<T> gradients_;
  Matrix<T> d_code_;     ///< gradient of `code`, of the micro-batch at hand
  Matrix<T> projector_;  ///< [hidden, rank], as it travels
  Matrix<T> gradient_;   ///< this half of dA, dX'^T Z [hidden, rank]
  bool accumulated_ = false;
};

extern template class ProjectionReceiver<float>;
extern template class ProjectionReceiver<double>;

}  // namespace strait::codec
