#include "strait/pipeline/schedule.hpp"

namespace strait::pipeline {

using enum ActionKind;

std::string_view name(ActionKind kind) {
  switch (kind) {
    case forward:
      return "forward";
    case evaluate:
      return "evaluate";
    case logits:
      return "logits";
    case backward:
      return "backward";
    case backward_input:
      return "backward_input";
    case backward_weight:
      return "backward_weight";
    case send_forward:
      return "send_forward";
    case receive_forward:
      return "receive_forward";
    case send_backward:
      return "send_backward";
    case receive_backward:
      return "receive_backward";
    case codec_sync_up:
      return "codec_sync_up";
    case codec_sync_down:
      return "codec_sync_down";
    case begin_all_reduce:
      return "begin_all_reduce";
    case all_reduce:
      return "all_reduce";
    case tied_reduce:
      return "tied_reduce";
    case norm_reduce:
      return "norm_reduce";
    case loss_reduce:
      return "loss_reduce";
    case step:
      return "step";
    case report:
      return "report";
  }
  return "";
}

bool is_send(ActionKind kind) { return kind == send_forward || kind == send_backward; }
bool is_receive(ActionKind kind) { return kind == receive_forward || kind == receive_backward; }

bool sends_sync(const Action& action, int stage) {
  if (action.kind == codec_sync_up) return stage == action.boundary + 1;
  return action.kind == codec_sync_down && stage == action.boundary;
}

}  // namespace strait::pipeline
