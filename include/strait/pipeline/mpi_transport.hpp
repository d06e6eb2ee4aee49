#pragma once
// Messages over MPI, on a communicator of their own.

#include "strait/core/device_event.hpp"
#include "strait/pipeline/message_path.hpp"
#include "strait/pipeline/transport.hpp"

#include <mpi.h>

#include <deque>
#include <functional>
#include <memory>

namespace strait::pipeline {

/// Called now and then during a wait with its length so far in seconds; may throw. Here the application looks
/// for signals and keeps its watchdog.
using WaitHook = std::function<void(double seconds)>;

/// On a staged path messages go through page-locked host buffers, by copies that overlap computation: MPI
/// gets a message once the device has copied it, and the device goes on with a message behind its copy, while
/// the host does neither wait. A wait tests without pause; where a node runs more ranks than it has
/// processors, it sleeps between the tests, for 1 to 100 microseconds. Refuses more boundaries than MPI has
/// tags for: Error(ExitCode::environment).
class MpiTransport : public Transport {
 public:
  MpiTransport(const ExecutionSpace& exec, MPI_Comm communicator, int boundaries, WaitHook hook = {},
               MessagePath path = {});
  ~MpiTransport() override;

  bool done(int request) override;
  int start_gather(std::span<const double> record) override;
  bool gather_done(int gather, std::vector<double>& all) override;
  void progress() override;
  /// Also returns once the device has done what it had to do at the call: the rank is idle from then on.
  void wait() override;
  std::string path() const override { return path_.text(); }

  bool oversubscribed() const { return oversubscribed_; }

 protected:
  // Points in the work of the device. A test may have them pass late, which on hosts they never do.
  virtual void record(DeviceEvent& event, const ExecutionSpace& exec) { event.record(exec); }
  virtual bool passed(const DeviceEvent& event) { return event.passed(); }

  int start_send(const Envelope& envelope, const codec::Message& message) override;
  int start_receive(const Envelope& envelope, codec::Message& message) override;

 private:
  struct Request;
  int unused_request();
  void post(int index);
  void post_held();
  int test();  ///< how many completed

  ExecutionSpace exec_;
  ExecutionSpace exec_copying_;  ///< for the copies of staged messages
  MPI_Comm communicator_ = MPI_COMM_NULL;
  WaitHook hook_;
  bool oversubscribed_ = false;
  MessagePath path_;
  DeviceEvent given_;     ///< what the device had to do at the last wait
  bool idle_ = false;     ///< a wait has ended for an idle device, and nothing has come or gone since
  std::deque<int> held_;  ///< requests that MPI gets once the device is done with their buffers

  // Request i of the first list is described by entry i of the second.
  std::vector<MPI_Request> requests_;
  std::vector<std::unique_ptr<Request>> descriptions_;
  std::vector<int> completed_;
  std::vector<MPI_Status> statuses_;
};

}  // namespace strait::pipeline
