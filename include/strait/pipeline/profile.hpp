#pragma once
// What the layers of a model and a boundary between them cost on one rank (PipeDream, 1806.03377,
// section 3.1): measured by `strait profile`, read by the planner and the simulator.

#include "strait/io/hdf5.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace strait::pipeline {

/// Seconds of repeated measurements.
struct Timing {
  double median = 0.0;
  double low = 0.0;   ///< first quartile
  double high = 0.0;  ///< third quartile

  bool operator==(const Timing&) const = default;
};

/// One layer, for one micro-batch. The token table and the head, with its norm and loss, are layers of their
/// own.
struct LayerProfile {
  std::string name;  ///< as its parameters begin: model.embed_tokens, model.layers.<i>, lm_head
  Timing forward = {};
  Timing backward_input = {};   ///< the half that the stage before waits for
  Timing backward_weight = {};  ///< the other half
  Timing update = {};           ///< of the optimiser, per step
  std::int64_t parameter_bytes = 0;
  std::int64_t state_bytes = 0;       ///< gradients and optimiser
  std::int64_t activation_bytes = 0;  ///< kept from forward to backward
  std::int64_t output_bytes = 0;      ///< as computed, before any codec; the same of its gradient

  double seconds_forward() const { return forward.median; }
  double seconds_backward() const { return backward_input.median + backward_weight.median; }

  bool operator==(const LayerProfile&) const = default;
};

/// A boundary with its codec, for one micro-batch; all boundaries of a model are alike.
struct BoundaryProfile {
  std::string codec;               ///< name in the deck
  Timing encode = {};              ///< activations, at the sender
  Timing decode = {};              ///< activations, at the receiver
  Timing encode_gradient = {};     ///< at the receiver
  Timing decode_gradient = {};     ///< at the sender
  Timing update = {};              ///< of both ends, per step
  std::int64_t bytes_forward = 0;  ///< ids included
  std::int64_t bytes_backward = 0;
  double bytes_sync_up = 0;    ///< mean per step
  double bytes_sync_down = 0;  ///< mean per step

  bool operator==(const BoundaryProfile&) const = default;
};

/// One way of a link between two ranks.
struct LinkProfile {
  double bandwidth = 0.0;       ///< bit/s; 0: not measured
  double latency = 0.0;         ///< seconds of an empty message, one way
  double bandwidth_both = 0.0;  ///< bit/s of one way while the other is as busy

  /// Whether both ways at once are as fast as one; where both are 0, nothing is known against it.
  bool duplex() const { return bandwidth_both >= 0.75 * bandwidth; }

  bool operator==(const LinkProfile&) const = default;
};

struct Profile {
  std::string deck;   ///< effective
  std::string model;  ///< one line that names the shapes and the precision; equal for profiles of one model
  std::string hardware;              ///< of the rank that was measured
  int sequences = 0;                 ///< of a micro-batch
  std::int64_t tokens = 0;           ///< of a micro-batch
  int blocks_measured = 0;           ///< blocks are alike: each has the values over this many of them
  std::int64_t workspace_bytes = 0;  ///< that a stage needs once, whatever its layers and micro-batches
  std::vector<LayerProfile> layers;  ///< token table, blocks, head
  BoundaryProfile boundary;
  LinkProfile link;

  void save(const io::Group& group) const;
  /// Error(ExitCode::io) where the file is not a profile of this format.
  static Profile load(const io::Group& group);

  bool operator==(const Profile&) const = default;
};

}  // namespace strait::pipeline
