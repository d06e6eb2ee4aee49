#include "strait/pipeline/network.hpp"

namespace strait::pipeline {
namespace {

GpuAware gpu_aware_from_deck(const Table& table) {
  const std::string name =
      table.choice("gpu_aware", {"auto", "on", "off"},
                   "whether MPI is given messages in device memory: if a test at start passes; it must pass; "
                   "no, they are staged through host memory");
  if (name == "auto") return GpuAware::automatic;
  return name == "on" ? GpuAware::on : GpuAware::off;
}

}  // namespace

NetworkConfig NetworkConfig::from_deck(Table table) {
  constexpr double slowest = 1e3, fastest = 1e15, longest = 60.0;
  NetworkConfig network;
  network.gpu_aware = gpu_aware_from_deck(table);
  network.bandwidth = table.optional(
      "bandwidth", 0.0,
      "bit/s, one way, of an emulated link between ranks that share a node; 0: the links as they are");
  if (network.bandwidth != 0.0 && !(network.bandwidth >= slowest && network.bandwidth <= fastest)) {
    table.reject("bandwidth", fmt::format("is {}, expected 0 (no emulation) or {:g} to {:g} bit/s",
                                          network.bandwidth, slowest, fastest));
  }
  network.latency = table.between(
      "latency",
      table.optional("latency", 0.0, "seconds of an empty message over the emulated link, one way"), 0.0,
      longest);
  network.duplex = table.optional(
      "duplex", true, "both ways at once at full bandwidth; false: they share the emulated link's");
  if (!network.emulated() && network.latency > 0.0) {
    table.reject("latency", fmt::format("is {}, expected 0 where bandwidth is 0", network.latency));
  }
  if (!network.emulated() && !network.duplex) {
    table.reject("duplex", "is false, expected true where bandwidth is 0");
  }
  return network;
}

}  // namespace strait::pipeline
