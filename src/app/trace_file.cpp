#include "strait/app/trace_file.hpp"

#include "file_sync.hpp"

#include <nlohmann/json.hpp>

namespace strait::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr double microseconds = 1e6;  // of a second

Json name_of_row(const char* kind, int rank, const std::string& name) {
  return {{"name", kind}, {"ph", "M"}, {"pid", 0}, {"tid", rank}, {"args", {{"name", name}}}};
}

Json slice(const std::string& name, int rank, double start, double seconds) {
  return {{"name", name},
          {"ph", "X"},
          {"pid", 0},
          {"tid", rank},
          {"ts", start * microseconds},
          {"dur", seconds * microseconds}};
}

}  // namespace

void write_trace_file(const std::string& path, const TraceTitle& title,
                      const std::vector<TraceRecord>& records) {
  Json events = Json::array();
  events.push_back(name_of_row("process_name", 0, title.run + ", " + title.source));
  for (int rank = 0; rank < title.ranks; ++rank) {
    events.push_back(name_of_row("thread_name", rank, "rank " + std::to_string(rank)));
  }
  for (const TraceRecord& record : records) {
    const int rank = record.rank;
    Json action = slice(record.action, rank, record.start, record.end - record.start);
    Json& arguments = action["args"] = {{"stage", record.stage}};
    if (record.micro_batch >= 0) arguments["micro_batch"] = record.micro_batch;
    events.push_back(std::move(action));
    if (record.waited > 0.0) events.push_back(slice("wait", rank, record.start, record.waited));
  }
  const Json trace = {{"traceEvents", std::move(events)},
                      {"displayTimeUnit", "ms"},
                      {"otherData", {{"run", title.run}, {"source", title.source}}}};
  const std::string partial = path + ".partial";
  write_synced(partial, trace.dump() + "\n");
  rename_path(partial, path);
}

}  // namespace strait::app
