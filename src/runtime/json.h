/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* JSON that comes from outside. json-glib's parser calls itself for every level of nesting, so what
 * is nested too deep has to be refused before it gets there. */

#include "runtime/util.h"

#include <json-glib/json-glib.h>

VM_BEGIN_DECLS

/* @text as an object, owned by the caller; NULL when it is anything else, is not JSON, or is nested
 * deeper than 64 levels. */
JsonNode *vm_json_parse_object (const char *text);

/* The string member @name of @object; NULL when it is missing or no string. Borrowed. */
const char *vm_json_get_string (JsonObject *object, const char *name);

VM_END_DECLS
