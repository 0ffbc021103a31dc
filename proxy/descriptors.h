// SHOW FDS: the connections of this process, for another one to take over. The rows are for every
// admin; the descriptors themselves go only to our own user, with the rows, one with each.
#pragma once

#include <memory>
#include <vector>

#include "admin/snapshot.h"
#include "proxy/io.h"

namespace headgate {

class Link;

struct DescriptorsFound {
  Snapshot rows;                   // its descriptors alone
  std::vector<ParcelPtr> parcels;  // one for each row, where they were asked for
  bool exhausted = false;          // the system had no descriptor left for another hold

  /// Notes a listener or a stream, unless it has no descriptor that could be passed on.
  template <class Connection>
  void add(const Connection& connection, DescriptorRow row, bool attach) {
    row.number = connection.descriptor();
    if (row.number < 0) return;
    rows.descriptors.push_back(std::move(row));
    if (!attach) return;
    parcels.push_back(connection.duplicate());
    exhausted |= parcels.back() == nullptr;
  }
};

/// Sends the messages at the front of an answer up to its last row, each row with its descriptor;
/// returns how many bytes that were.
size_t send_with_descriptors(Link& link, View answer, std::vector<ParcelPtr>& parcels);

}  // namespace headgate
