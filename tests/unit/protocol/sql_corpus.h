// Whatever SQL is at hand, to compare ours with PostgreSQL's parser on: files of scripts, and the
// listings of the manual. Used by the oracle tests.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate {

namespace fs = std::filesystem;

inline std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  std::string all = text.str();
  std::erase(all, '\0');
  return all;
}

// A script whole, and in pieces that end with a line that ends with a semicolon: what the parser
// refuses in one place (psql's own commands, rows of COPY) hides nothing behind it.
template <class Visit>
void for_each_piece(const std::string& script, Visit visit) {
  visit(script);
  std::string piece;
  std::istringstream lines(script);
  for (std::string line; std::getline(lines, line);) {
    piece += line + "\n";
    if (line.ends_with(';')) {
      visit(piece);
      piece.clear();
    }
  }
  visit(piece);
}

template <class Visit>
void for_each_file(const fs::path& folder, View extension, Visit visit) {
  std::set<fs::path> paths;  // in a fixed order
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().extension() == extension)
      paths.insert(entry.path());
  }
  for (const fs::path& path : paths) {
    CAPTURE(path.string());
    visit(path);
  }
}

// The listings of an HTML page, tags and entities removed.
inline std::vector<std::string> listings(const std::string& page) {
  std::vector<std::string> found;
  const std::string opening = "<pre class=\"programlisting\">";
  for (size_t at = page.find(opening); at != std::string::npos; at = page.find(opening, at)) {
    at += opening.size();
    std::string text;
    bool in_tag = false;
    for (const char c : page.substr(at, page.find("</pre>", at) - at)) {
      if (c == '<') in_tag = true;
      if (!in_tag) text += c;
      if (c == '>') in_tag = false;
    }
    for (const auto& [entity, character] :
         {std::pair{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&amp;", "&"}}) {
      for (size_t i = text.find(entity); i != std::string::npos; i = text.find(entity, i)) {
        text.replace(i, std::string(entity).size(), character);
        ++i;
      }
    }
    found.push_back(text);
  }
  return found;
}

/// The examples of PostgreSQL's manual. False: it is not here.
template <class Visit>
bool for_each_example(Visit visit) {
  const fs::path folder = "/usr/share/doc/postgresql-doc-15/html";
  if (!fs::exists(folder)) {
    MESSAGE("left out: postgresql-doc-15 is not installed");
    return false;
  }
  for_each_file(folder, ".html", [&](const fs::path& path) {
    for (const std::string& listing : listings(read_file(path))) visit(listing);
  });
  return true;
}

/// The SQL of PostgreSQL's regression tests. False: it is not here.
template <class Visit>
bool for_each_regression_script(Visit visit) {
  const fs::path folder = "build/regression-sql";  // from the top of the tree
  if (!fs::exists(folder)) {
    MESSAGE("left out: run tests/unit/protocol/fetch_regression_sql to have them");
    return false;
  }
  for_each_file(folder, ".sql", [&](const fs::path& path) { visit(read_file(path)); });
  return true;
}

}  // namespace headgate
