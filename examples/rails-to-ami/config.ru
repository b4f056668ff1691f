# frozen_string_literal: true

require_relative "lib/shop"

manifest = File.expand_path("public/assets/manifest.json", __dir__)
run Shop.new(assets: File.exist?(manifest) ? JSON.parse(File.read(manifest)) : {})
