#pragma once
// The two ends of a boundary of the codec ssn.

#include "projector_start.hpp"
#include "stage_subspace.hpp"

#include <memory>

namespace strait::codec {

/// Of the numbers and ids in its messages ssn is a projection that is never updated.
inline ProjectionOptions payload(const SubspaceOptions& options) {
  ProjectionOptions out;
  out.rank = options.rank;
  out.wire = options.wire;
  out.anchors = AnchorKind::fixed;
  return out;
}

/// At stage p: encodes, confines the parameters of its stage.
template <class T>
class SubspaceSender : public Sender<T> {
 public:
  SubspaceSender(const ExecutionSpace& exec, const SubspaceOptions& options, const BoundaryShape& shape);

  const std::shared_ptr<StageSubspace<T>>& subspace() const { return subspace_; }

  void add_parameters(model::ParameterLayout& layout) override { StageSubspace<T>::confine(layout); }
  void lend(const model::ParameterLayout& layout, const Vector<T>& weights,
            const Vector<T>& gradients) override {
    subspace_->lend(layout, weights, gradients);
  }
  bool synchronises(std::int64_t step) const override;
  void project_gradients(const ExecutionSpace& exec) override { subspace_->project_gradients(exec); }
  void update(const ExecutionSpace& exec, const UpdateInfo&) override { subspace_->update(exec); }

  void encode(const ExecutionSpace&, const Context&, ConstMatrix<T> x, Message&) override;
  void decode_gradient(const ExecutionSpace&, const Context&, const Message&, const Matrix<T>& dx) override;
  void receive_sync_up(const ExecutionSpace&, const Message&) override;

  std::vector<double> diagnose(const ExecutionSpace&) override;
  std::int64_t state_bytes() const override;
  void save(const ExecutionSpace& exec, io::Group group) const override { subspace_->save(exec, group); }
  bool load(const ExecutionSpace&, const io::Group& group) override { return group.has("U"); }
  void load_in_flight(const ExecutionSpace&, const io::Group&,
                      const std::vector<InFlight<T>>& in_flight) override;
  void load_shared(const ExecutionSpace& exec, const std::vector<io::Group>& boundaries,
                   std::vector<std::string>& notes) override {
    subspace_->load(exec, boundaries, notes);
  }

 private:
  SubspaceOptions options_;
  BoundaryShape shape_;
  ProjectionLayout layout_;
  std::shared_ptr<StageSubspace<T>> subspace_;
  Matrix<T> residual_;       ///< X - F[ids] [tokens, hidden], of the micro-batch at hand
  Matrix<T> z_;              ///< [tokens, rank]
  ConstMatrix<T> newest_x_;  ///< the stage's, of the micro-batch that was encoded last in training
  TokenIds newest_ids_;
};

/// At stage p + 1: decodes. At the last stage it makes the next U, elsewhere it hands it on.
template <class T>
class SubspaceReceiver : public Receiver<T> {
 public:
  SubspaceReceiver(const ExecutionSpace& exec, const SubspaceOptions& options, const BoundaryShape& shape);

  const std::shared_ptr<StageSubspace<T>>& subspace() const { return subspace_; }

  /// The subspace of the sender at the same stage becomes this end's.
  void share(const std::shared_ptr<StageSubspace<T>>& subspace);

  void lend(const model::ParameterLayout& layout, const Vector<T>& weights,
            const Vector<T>& gradients) override;
  bool synchronises(std::int64_t step) const override;
  void update(const ExecutionSpace& exec, const UpdateInfo&) override;

  void decode(const ExecutionSpace&, const Context&, const Message&, const Matrix<T>& x) override;
  void encode_gradient(const ExecutionSpace&, const Context&, ConstMatrix<T> dx, Message&) override;
  void send_sync_up(const ExecutionSpace&, Message&) override;

  std::int64_t state_bytes() const override;
  void save(const ExecutionSpace&, io::Group) const override;
  bool load(const ExecutionSpace&, const io::Group&) override;
  void load_shared(const ExecutionSpace&, const std::vector<io::Group>&, std::vector<std::string>&) override;

 private:
  /// Whether this end sees the gradients that U follows.
  bool leads() const { return options_.grassmann_interval > 0 && !shares_; }

  SubspaceOptions options_;
  BoundaryShape shape_;
  ProjectionLayout layout_;
  std::shared_ptr<StageSubspace<T>> subspace_;
  bool shares_ = false;
  Matrix<T> z_;   ///< [tokens, rank]
  Matrix<T> cu_;  ///< C U, sum of dX'^T dZ since the last update [hidden, rank]
  bool accumulated_ = false;
};

extern template class SubspaceSender<float>;
extern template class SubspaceSender<double>;
extern template class SubspaceReceiver<float>;
extern template class SubspaceReceiver<double>;

}  // namespace strait::codec
