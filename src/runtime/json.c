/* SPDX-License-Identifier: MPL-2.0 */
#include "runtime/json.h"

#define MAX_DEPTH 64

/* Counts brackets outside strings; whether they match is for the parser to say. */
static gboolean
is_shallow (const char *text)
{
  gboolean in_string = FALSE;
  int depth = 0;
  for (; *text != '\0' && depth <= MAX_DEPTH; text++) {
    if (*text == '"')
      in_string = !in_string;
    else if (in_string)
      text += *text == '\\' && text[1] != '\0';
    else if (*text == '{' || *text == '[')
      depth++;
    else if (*text == '}' || *text == ']')
      depth--;
  }
  return depth <= MAX_DEPTH;
}

JsonNode *
vm_json_parse_object (const char *text)
{
  g_autoptr (JsonNode) node = is_shallow (text) ? json_from_string (text, NULL) : NULL;
  return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? g_steal_pointer (&node) : NULL;
}

const char *
vm_json_get_string (JsonObject *object, const char *name)
{
  JsonNode *member = json_object_get_member (object, name);
  return member != NULL && JSON_NODE_HOLDS_VALUE (member) ? json_node_get_string (member) : NULL;
}
