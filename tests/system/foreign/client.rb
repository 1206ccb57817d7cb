#!/usr/bin/env ruby
# The admin RPC from Ruby, with nothing but the msgpack library: client.rb SOCKET
# Reads [method, params] as JSON, one a line, and prints [error, result] as JSON, one a line.
#
# SPDX-License-Identifier: Apache-2.0
require "json"
require "msgpack"
require "socket"

socket = UNIXSocket.new(ARGV.fetch(0))
answers = MessagePack::Unpacker.new(socket)
$stdin.each_line.with_index do |line, id|
  method, params = JSON.parse(line)
  socket.write([0, id, method, [params]].to_msgpack)
  type, answered, error, result = answers.read
  raise "an answer of another kind: #{type}, #{answered}" unless type == 1 && answered == id

  puts JSON.generate([error, result])
end
