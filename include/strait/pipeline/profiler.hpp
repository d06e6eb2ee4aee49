#pragma once
// Measures a profile with the code that trains: stages, codec ends, optimisers and transports.

#include "strait/codec/codec.hpp"
#include "strait/pipeline/config.hpp"
#include "strait/pipeline/network.hpp"
#include "strait/pipeline/profile.hpp"
#include "strait/pipeline/transport.hpp"

#include <mpi.h>

#include <cstdint>
#include <vector>

namespace strait::pipeline {

/// Median and quartiles, between neighbours where they fall there. `seconds` is not empty.
Timing summary(std::vector<double> seconds);

/// How long to measure: repetitions go on until both `seconds` and `least` are reached, but not past `most`.
struct Effort {
  double seconds = 4.0;  ///< of each part of a profile
  int least = 5;
  int most = 200;
};

/// Fills `profile.layers` but for their seconds, and what a stage and a micro-batch hold.
template <class T>
void size_layers(const PipelineSetup& setup, Profile& profile);

/// Fills `profile.layers`, `blocks_measured` and `workspace_bytes` for micro-batches of random tokens. One
/// stage with the table, the head and a few of the blocks runs forwards and backwards; the time between two
/// layers is read where messages would move. The fused backward is what is timed. Its halves, which only
/// some schedules run apart, give its division.
template <class T>
void measure_layers(const ExecutionSpace& exec, const PipelineSetup& setup, const Effort& effort,
                    Profile& profile);

/// A boundary between two stages of one block each, with the micro-batches per step of `setup` and random
/// activations: what both ends do in whole periods of their synchronisation, and what the transport counts.
/// What `update` comes to is the mean of each period. `codec` is for the model of `setup`; its name is left
/// to the caller.
template <class T>
BoundaryProfile measure_boundary(const ExecutionSpace& exec, const PipelineSetup& setup,
                                 const codec::Codec<T>& codec, const Effort& effort);

/// Of a profile whose steps had `micro_batches` micro-batches: makes the bytes of synchronisation those of a
/// step of `setup`, whose projectors may be updated more often or more rarely. What travels inside messages
/// joins their bytes.
template <class T>
void fit_synchronisation(const PipelineSetup& setup, const codec::Codec<T>& codec, int micro_batches,
                         Profile& profile);

/// One message size of a ping-pong.
struct LinkSample {
  std::int64_t bytes = 0;
  double seconds = 0.0;  ///< one way
};

/// Latency and bandwidth of the line through `samples`, each weighted by its relative error: two or more, of
/// growing size.
LinkProfile fit_link(const std::vector<LinkSample>& samples);

/// The link between neighbours as a transport over `communicator` finds it: messages of growing size to and
/// fro, then both ways at once. One pair after the other; the slowest in each respect counts. Nothing is
/// measured on one rank. `network` may emulate the link. Collective.
LinkProfile measure_link(const ExecutionSpace& exec, MPI_Comm communicator,
                         const NetworkConfig& network = {});

}  // namespace strait::pipeline
