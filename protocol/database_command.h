// Statements for which PostgreSQL wants a database to itself: it refuses them while anybody else is
// connected there (SQLSTATE 55006), after a wait of a few seconds in which those might have left,
// and has done nothing then. (PostgreSQL: dropdb(), RenameDatabase(), movedb(), createdb().)
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace headgate {

struct DatabaseCommand {
  /// The database that others must have left.
  std::string database;
  /// It may be the one that the session itself is in: it is copied.
  bool from_inside = false;

  /// The longest text that is looked at; more than the names and options of any such statement.
  static constexpr size_t max_text = 2048;
};

/// Whether a text may be such a statement, by its first letters: costs next to nothing.
bool may_be_database_command(View sql);

/// DROP DATABASE, ALTER DATABASE ... RENAME TO or SET TABLESPACE, or CREATE DATABASE, alone in its
/// text; nothing if it is anything else.
std::optional<DatabaseCommand> find_database_command(View sql, bool standard_conforming_strings);

}  // namespace headgate
