// The report page: one HTML file that needs no network. Tables are HTML written here; charts are drawn in the
// browser by dygraphs (embedded at build time) and page.js from the JSON that the page carries.
//
// All text that comes from runs is data: escaped in HTML, and in the JSON such that no "</script>" can
// appear.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "train/report/report_data.h"

namespace train {

/// The whole page; `first_section`: HTML that stands before all other sections, and alone where there are no
/// runs.
std::string report_html(const std::vector<RunReport>& runs, const std::string& first_section = "");

/// Text as HTML content or attribute value.
std::string escape_html(std::string_view text);
/// JSON that may stand inside a <script> element.
std::string script_json(const engine::Json& json);
/// `text` with each {{NAME}} replaced by its value, in one pass: values are never searched. An unknown name
/// is an assert.
std::string fill_template(std::string_view text, const std::map<std::string, std::string>& values);

}  // namespace train
