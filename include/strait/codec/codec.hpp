#pragma once
// What crosses a pipeline boundary. A boundary is a pair of ends, one at the stage that sends activations
// forward and one at the stage that receives them; the executor never knows what is inside a message.

#include "strait/core/deck.hpp"
#include "strait/core/tensor.hpp"
#include "strait/io/hdf5.hpp"
#include "strait/model/config.hpp"
#include "strait/model/parameters.hpp"
#include "strait/model/weights.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace strait::codec {

/// Bytes on their way, in device memory. A message may carry parts of three accounts: activations (with ids),
/// what keeps the two ends equal (projectors, gradient halves, codewords), and fixed headers. The end that
/// fills a message sets the three sizes; the end that reads one finds `size` alone.
struct Message {
  Vector<std::uint8_t> bytes;    ///< capacity
  std::int64_t size = 0;         ///< bytes that travel
  std::int64_t sync_size = 0;    ///< those of `size` that count as synchronisation
  std::int64_t header_size = 0;  ///< those of `size` that are fixed overhead
};

/// What an end may know about the micro-batch at hand.
struct Context {
  MutableTokenIds ids;  ///< [tokens]; a sender reads them, a receiver whose codec carries ids fills them
  std::int64_t micro_batch = 0;  ///< counted from the start of the run; of the evaluation when not training
  int slot = 0;                  ///< where state that must live until the backward is kept
  std::int64_t weight_version = 0;  ///< of the sender's stage when it encoded; in training
  bool training = true;             ///< evaluation changes no state
};

struct UpdateInfo {
  std::int64_t step = 0;
  double learning_rate_fraction = 1.0;  ///< the run's warm-up and decay at this step, 0..1
  /// Otherwise the weights of the stage are updated again in this step: only what follows them is due.
  bool ends_step = true;
};

/// A micro-batch between its encoding and its gradient.
template <class T>
struct InFlight {
  int slot = 0;
  MutableTokenIds ids;  ///< [tokens]
  ConstMatrix<T> x;     ///< the stage's output [tokens, hidden], which its sender encoded
};

/// What both ends share.
///
/// One step at a boundary: per micro-batch encode -> decode, then encode_gradient -> decode_gradient; where
/// `synchronises`, send_sync_up -> receive_sync_up, from the last boundary to the first, so that a stage may
/// hand on what it was sent; `update` at both ends, just after the optimiser of their stage; then, where
/// `synchronises`, send_sync_down -> receive_sync_down. Messages of one kind are taken in the order of
/// sending. A step whose loss or gradient norm is not finite skips `update` at both ends.
///
/// In asynchronous schedules micro-batches are in flight at each update, forward messages are on their way
/// at it, and what send_sync_down sent is received just before the first forward message that was sent after
/// it. So the two ends encode and decode each forward message in one state, and each keeps in its slot what
/// the gradient needs of that state.
template <class T>
class End {
 public:
  virtual ~End() = default;

  /// Parameters that the codec wants trained with the stage (anchors), added before the stage allocates;
  /// their views arrive with `lend`.
  virtual void add_parameters(model::ParameterLayout&) {}
  virtual void lend(const model::ParameterLayout&, const Vector<T>& /*weights*/,
                    const Vector<T>& /*gradients*/) {}

  /// What `encode` and `decode` read of the lent weights from now on: a version of them. `update` and
  /// load_shared work on those that were lent.
  virtual void use_weights(const model::Weights<T>& /*version*/) {}

  /// Once per step, when the gradients of all micro-batches are there and before their norm is taken: an end
  /// that confines parameters (ParameterInfo::confinement) projects their gradients.
  virtual void project_gradients(const ExecutionSpace&) {}

  /// True when both ends exchange sync_up and sync_down messages at the end of step `step`; both ends say the
  /// same.
  virtual bool synchronises(std::int64_t /*step*/) const { return false; }

  /// Own update once per step, between sync_up and sync_down, after the stage's weights. In asynchronous
  /// schedules a stage with fewer replicas than others updates its weights several times in a step; this
  /// follows each time (UpdateInfo::ends_step).
  virtual void update(const ExecutionSpace&, const UpdateInfo&) {}

  /// What the end has summed over micro-batches and not used yet, zeros at first. Replicas of a stage add it
  /// up at the end of every step; where that is not used at once, one of them goes on with the total and the
  /// others start afresh.
  virtual std::vector<Vector<T>> sums(const ExecutionSpace&) { return {}; }
  virtual void clear_sums() {}

  virtual std::int64_t state_bytes() const { return 0; }

  /// Whether the end has lasting state, which a restart on a new boundary starts afresh.
  virtual bool keeps_state() const { return false; }

  /// Lasting state, under /boundary/<p> of a checkpoint: the sender saves, then the receiver adds what it has
  /// alone; both read. `load` is false, without effect, where the group is another codec's.
  virtual void save(const ExecutionSpace&, io::Group) const {}
  virtual bool load(const ExecutionSpace&, const io::Group&) { return true; }

  /// What `save` leaves out since micro-batches are in flight: the state of their slots, and where forward
  /// messages are on their way the receiver's own state, which is older than the sender's. Read after `load`.
  virtual void save_in_flight(const ExecutionSpace&, io::Group, const std::vector<InFlight<T>>&) const {}
  virtual void load_in_flight(const ExecutionSpace&, const io::Group&, const std::vector<InFlight<T>>&) {}

  /// Before `load`, when the stage's weights are read: what all boundaries share, from the groups of all
  /// those on file, whatever the cuts were. Adds to the notes what a user should know.
  virtual void load_shared(const ExecutionSpace&, const std::vector<io::Group>& /*boundaries*/,
                           std::vector<std::string>& /*notes*/) {}

  /// What belongs to the stage of this end beside its trained parameters, under /anchors/<stage>. Both ends
  /// of a stage hold the same: one saves, both read.
  virtual void save_anchors(const ExecutionSpace&, io::Group) const {}
  virtual void load_anchors(const ExecutionSpace&, const io::Group&) {}
};

/// The end at stage p: activations leave, gradients arrive.
template <class T>
class Sender : public End<T> {
 public:
  /// x [tokens, hidden] to a message; keeps what decode_gradient needs in ctx.slot. In training x stays as it
  /// is until then.
  virtual void encode(const ExecutionSpace&, const Context&, ConstMatrix<T> x, Message&) = 0;
  /// A message to dx [tokens, hidden].
  virtual void decode_gradient(const ExecutionSpace&, const Context&, const Message&,
                               const Matrix<T>& dx) = 0;
  virtual void receive_sync_up(const ExecutionSpace&, const Message&) {}
  virtual void send_sync_down(const ExecutionSpace&, Message&) {}

  /// One value for each of Codec::diagnostics, of the micro-batch that was encoded last. Waits.
  virtual std::vector<double> diagnose(const ExecutionSpace&) { return {}; }
};

/// The end at stage p + 1: activations arrive, gradients leave.
template <class T>
class Receiver : public End<T> {
 public:
  virtual void decode(const ExecutionSpace&, const Context&, const Message&, const Matrix<T>& x) = 0;
  virtual void encode_gradient(const ExecutionSpace&, const Context&, ConstMatrix<T> dx, Message&) = 0;
  virtual void send_sync_up(const ExecutionSpace&, Message&) {}
  virtual void receive_sync_down(const ExecutionSpace&, const Message&) {}
};

/// The sizes that a boundary is built for.
struct BoundaryShape {
  int boundary = 0;     ///< p, between stages p and p + 1
  int after_layer = 0;  ///< the last layer of stage p, counted from 0
  std::int64_t tokens = 0;
  int hidden = 0;
  int vocab = 0;
  int slots = 1;          ///< micro-batches in flight at the stage of this end
  int micro_batches = 1;  ///< per step
  std::uint64_t seed = 1;
  int updates_in_flight = 0;  ///< ends of steps between the encoding of a micro-batch and its gradient here
  bool bfloat16 = false;      ///< stages keep activations and their gradients as bfloat16
};

/// Largest messages whatever the slots, so that buffers can be allocated and receives posted early, in bytes.
struct MessageBounds {
  std::int64_t forward = 0;
  std::int64_t backward = 0;
  std::int64_t sync_up = 0;
  std::int64_t sync_down = 0;
};

/// The ends of a boundary.
enum class Side { sender, receiver };

/// What a codec measures of itself beside bytes and times, one number per boundary.
struct Diagnostic {
  std::string name;
  std::string units;  ///< "1" for a number
  std::string long_name;
};

/// A codec by name: makes the ends of a boundary.
template <class T>
class Codec {
 public:
  virtual ~Codec() = default;

  /// Activations arrive as they were sent, bit for bit.
  virtual bool is_exact() const { return false; }

  /// What Sender::diagnose measures, in its order.
  virtual std::vector<Diagnostic> diagnostics() const { return {}; }
  /// Steps between two diagnoses; 0 for none.
  std::int64_t diagnostics_interval() const { return diagnostics_interval_; }
  void set_diagnostics_interval(std::int64_t steps) { diagnostics_interval_ = steps; }

  virtual MessageBounds bounds(const BoundaryShape&) const = 0;
  /// Steps from one exchange of sync_up and sync_down messages to the next, where there are any.
  virtual std::int64_t sync_interval(const BoundaryShape&) const { return 1; }
  /// What an end takes, without building it: adds to `layout` what its add_parameters would, and returns the
  /// state_bytes() that it begins with.
  virtual std::int64_t bytes_needed(Side, const BoundaryShape&, model::ParameterLayout& /*layout*/) const {
    return 0;
  }
  /// Elements of each of End::sums, without building the end.
  virtual std::vector<std::int64_t> sums_needed(Side, const BoundaryShape&) const { return {}; }
  virtual std::unique_ptr<Sender<T>> sender(const ExecutionSpace&, const BoundaryShape&) const = 0;
  virtual std::unique_ptr<Receiver<T>> receiver(const ExecutionSpace&, const BoundaryShape&) const = 0;

  /// Lets the two ends of one stage, both made by this codec, share what they have in common.
  virtual void connect(Receiver<T>&, Sender<T>&) const {}

 private:
  std::int64_t diagnostics_interval_ = 0;
};

/// What of the rest of a deck a codec may depend on.
struct RunFacts {
  bool tied_embeddings = false;
  bool synchronous = true;  ///< all micro-batches of a step meet the same weights
  bool replicated = false;  ///< some stage has several replicas
  bool bfloat16 = false;    ///< stages keep activations and their gradients as bfloat16
};

/// Reads [codec] for a model of width `hidden`. Keys of another codec are refused.
template <class T>
std::unique_ptr<Codec<T>> codec_from_deck(Table table, int hidden, const RunFacts& facts = {});

}  // namespace strait::codec
